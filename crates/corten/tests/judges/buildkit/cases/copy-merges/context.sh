mkdir -p first/m/n second/m third/f links; echo 1 >first/m/n/1; echo 2 >second/m/2; chmod 700 second/m; chmod 755 first/m; echo same >first/same; echo other >second/same; chmod 4711 first/same
ln -s m first/l; echo file >second/l
echo in >third/f/in; mkdir third/g; ln -s /etc links/h; echo g >third/h
