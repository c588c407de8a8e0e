echo 1 >f; tar --transform 's,f,../../climbed,' -P -cf a.tar f; echo 2 >g; tar --transform 's,g,/absolute,' -P -rf a.tar g
