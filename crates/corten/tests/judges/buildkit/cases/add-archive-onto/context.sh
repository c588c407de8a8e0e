mkdir -p t/link t/new; echo in >t/link/in; echo over >t/file; echo over >t/to-file; chown 9:9 t/file
tar -C t -cf a.tar link new file to-file
