mkdir -p first/a second; echo 1 >second/a
