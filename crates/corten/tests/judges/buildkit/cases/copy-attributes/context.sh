mkdir with; echo 1 >with/f; python3 -c '
import os
os.setxattr("with/f","user.note",b"a\0b\xff"); os.setxattr("with","user.on.folder",b"x"); os.setxattr("with/f","security.capability",bytes.fromhex("0100000200200000000000000000000000000000"))
'
