mkdir docs; echo page >docs/page; chmod 640 docs/page
