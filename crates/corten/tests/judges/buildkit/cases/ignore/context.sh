mkdir -p d/sub/deep d/empty d/.hidden
echo one >d/one.txt; echo two >d/two.md; echo three >d/sub/three.txt; echo four >d/sub/deep/four.md; echo dot >d/.dot; echo in >d/.hidden/in
chmod 600 d/one.txt; chmod 755 d/two.md; chmod 700 d/sub; chmod 1777 d/empty
echo a >a.txt; echo b >b.txt; echo ab >ab; echo x >.x

mkdir -p docs/a node_modules/x src/node_modules/y keep/me tmp1 tmp2; touch docs/a/x.md docs/a/README.md docs/y.tmp node_modules/x/f src/node_modules/y/f src/main.c keep/me/f keep/other tmp1/f tmp2/f '#hash' 'sp ace' secret.pem sub.log
cat >.dockerignore <<'END'
# a comment
 # spaced, no comment? 
**/node_modules
docs/**
!docs/**/README.md
/tmp?
*.log
**/*.tmp
keep
!keep/me
./b.txt
d/sub/../two.md
sp ace
secret.[a-z]em
d/.[!d]*
.dockerignore
END
