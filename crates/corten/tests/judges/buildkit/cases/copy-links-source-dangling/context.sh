ln -s nowhere gone
