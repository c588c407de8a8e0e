{ echo FROM busybox; for i in $(seq 123); do echo "COPY f /$i"; done; echo 'RUN ls / | sort >/tmp/listed && rm /5 /old/file'; echo 'RUN echo 2 >/1'; } >Dockerfile; echo 1 >f
