/* What the static file knows of the resident's answer when the interpreter begins (asking.c). */
struct asked {
    const char *silence; /* why it need not be asked a second time; NULL if it may be */
    char **programs, **command, **environ; /* what it has taken on itself, and could not be run; else NULL */
    int ignores_sigpipe;
};

/* Become the daemon, if a resident of this user's does the rest. Returns if not, with what is to be known of it. */
struct asked ask_resident(int argc, char **argv);
