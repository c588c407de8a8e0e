mkdir -p d/sub/deep d/empty d/.hidden
echo one >d/one.txt; echo two >d/two.md; echo three >d/sub/three.txt; echo four >d/sub/deep/four.md; echo dot >d/.dot; echo in >d/.hidden/in
chmod 600 d/one.txt; chmod 755 d/two.md; chmod 700 d/sub; chmod 1777 d/empty
echo a >a.txt; echo b >b.txt; echo ab >ab; echo x >.x

mkdir t; cp -a d t/; echo f >t/f; chown 5:6 t/f; chmod 4750 t/f; ln t/f t/hard; ln -s f t/soft; mkfifo t/pipe; mknod t/null c 1 3; touch -d '2001-01-01 UTC' t/f; mkdir t/dir; chown 7:8 t/dir; chmod 1770 t/dir
tar -C t -cf plain.tar .; gzip -nc plain.tar >gz; bzip2 -c plain.tar >t.tar.bz2; xz -c plain.tar >t.tar.xz; zstd -qc plain.tar >t.tar.zst; cp gz misnamed.txt; echo no archive >fake.tar.gz; echo text | gzip -nc >text.gz
head -c 10240 /dev/zero >empty.tar
