mkdir with-pipe; mkfifo with-pipe/p; echo f >with-pipe/f
