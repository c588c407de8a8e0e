mkdir -p first/t second/l; ln -s t first/l; echo 1 >second/l/1
