mkdir -p d/sub/deep d/empty d/.hidden
echo one >d/one.txt; echo two >d/two.md; echo three >d/sub/three.txt; echo four >d/sub/deep/four.md; echo dot >d/.dot; echo in >d/.hidden/in
chmod 600 d/one.txt; chmod 755 d/two.md; chmod 700 d/sub; chmod 1777 d/empty
echo a >a.txt; echo b >b.txt; echo ab >ab; echo x >.x
