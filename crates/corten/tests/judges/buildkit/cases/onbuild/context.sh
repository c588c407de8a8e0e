mkdir -p d/sub/deep d/empty d/.hidden
echo one >d/one.txt; echo two >d/two.md; echo three >d/sub/three.txt; echo four >d/sub/deep/four.md; echo dot >d/.dot; echo in >d/.hidden/in
chmod 600 d/one.txt; chmod 755 d/two.md; chmod 700 d/sub; chmod 1777 d/empty
echo a >a.txt; echo b >b.txt; echo ab >ab; echo x >.x

cat >parent.Dockerfile <<'END'
FROM busybox
ARG X=parent
ONBUILD ARG Y=y
ONBUILD COPY a.txt /from-child
ONBUILD RUN echo "$Y" >/ran
ONBUILD ENV Z=$Y
ONBUILD COPY --from=busybox /etc/passwd /copied
ONBUILD WORKDIR /w
ONBUILD RUN <<EOF
id -u >/tmp/here
EOF
ONBUILD LABEL a=b
RUN echo parent >/parent
END
