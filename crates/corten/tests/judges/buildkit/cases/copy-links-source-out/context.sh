ln -s /x out; ln -s ../../x up; echo x >x
