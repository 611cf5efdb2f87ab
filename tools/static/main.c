/* cross-init-bridge as one static file: the interpreter, with frozen modules alone and nothing of the machine's.
 *
 * There is no dlopen(3) in it, so what ctypes and modules in shared objects do in the other forms is built in here:
 * cross_init_calls (see kernel/system_calls.py), and as much of resource as is used. make_static.py makes frozen.h.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <nss.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "asking.h"
#include "frozen.h" /* FROZEN: lines of {name, size, is package}; INITS and DECLARED: the built-in modules */

/* What is called by a name; "syscall" takes a number of its own. */
static const struct { const char *name; long number; } CALLS[] = {
    {"inotify_init1", SYS_inotify_init1},
    {"inotify_add_watch", SYS_inotify_add_watch},
    {"prctl", SYS_prctl},
    {"capset", SYS_capset},
    {"personality", SYS_personality},
    {"setns", SYS_setns},
    {"unshare", SYS_unshare},
    {"mount", SYS_mount},
    {"umount2", SYS_umount2},
    {"shmctl", SYS_shmctl},
    {"semctl", SYS_semctl},
    {"msgctl", SYS_msgctl},
    {"syscall", -1},
};
#define MOST 7

/* Functions of libseccomp (see sandbox/libseccomp.py). Of ints but for a context, and what is an address. */
static const struct { const char *name; long (*function)(long, long, long, long, long); int returns_address; } FILTERS[] = {
#define OF(NAME, ADDRESS) {#NAME, (long (*)(long, long, long, long, long))(void (*)(void))NAME, ADDRESS}
    OF(seccomp_init, 1),
    OF(seccomp_load, 0),
    OF(seccomp_attr_set, 0),
    OF(seccomp_arch_add, 0),
    OF(seccomp_arch_remove, 0),
    OF(seccomp_arch_native, 0),
    OF(seccomp_arch_resolve_name, 0),
    OF(seccomp_syscall_resolve_name, 0),
    OF(seccomp_syscall_resolve_name_arch, 0),
    OF(seccomp_rule_add_exact_array, 0),
};

/* The result, an error as its number below 0. */
static PyObject *filter(size_t row, const long *words)
{
    long result = FILTERS[row].function(words[0], words[1], words[2], words[3], words[4]);
    return PyLong_FromLong(FILTERS[row].returns_address ? result : (int)result);
}

/* call(name, *arguments): the result. Each argument is an int or bytes. Raises OSError. */
static PyObject *call(PyObject *self, PyObject *const *given, Py_ssize_t count)
{
    long words[MOST] = {0}, *from = words + 1, result;
    const char *name = count > 0 ? PyUnicode_AsUTF8(given[0]) : NULL;
    size_t row, rows = sizeof CALLS / sizeof *CALLS;
    if (name == NULL)
        return NULL;
    size_t filters = sizeof FILTERS / sizeof *FILTERS, which;
    for (row = 0; row < rows && strcmp(CALLS[row].name, name) != 0; row++)
        ;
    for (which = 0; which < filters && strcmp(FILTERS[which].name, name) != 0; which++)
        ;
    if ((row == rows && which == filters) || count > MOST)
        return PyErr_Format(PyExc_ValueError, "no such call: %s", name);
    for (Py_ssize_t at = 1; at < count; at++) {
        if (PyBytes_Check(given[at]))
            words[at] = (long)PyBytes_AS_STRING(given[at]);
        else if ((words[at] = PyLong_AsLong(given[at])) == -1 && PyErr_Occurred())
            return NULL;
    }
    if (row == rows)
        return filter(which, words + 1);
    words[0] = CALLS[row].number;
    if (words[0] < 0)
        words[0] = *from++;
    result = syscall(words[0], from[0], from[1], from[2], from[3], from[4]);
    return result < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLong(result);
}

/* The modules' code, as marshal has it, one behind the other; and that of those which few starts need, by zlib. */
__asm__(".section .rodata\n.globl code, packs, packs_end\n.hidden code, packs, packs_end\n"
        ".incbin \"LICENSE\"\n.balign 16\ncode: .incbin \"frozen.bin\"\n.balign 16\npacks: .incbin \"packed.bin\"\n"
        "packs_end: .byte 0\n.text\n");
extern const unsigned char code[], packs[], packs_end[];

/* packed(offset, size): bytes. */
static PyObject *packed(PyObject *self, PyObject *args)
{
    Py_ssize_t offset, size;
    if (!PyArg_ParseTuple(args, "nn", &offset, &size))
        return NULL;
    if (offset < 0 || size < 0 || offset > packs_end - packs || size > packs_end - packs - offset)
        return PyErr_Format(PyExc_ValueError, "not within what is packed");
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)packs + offset, size);
    /* They are not needed again, with those around them that the kernel has mapped as well: a megabyte in a resident. */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = ((uintptr_t)packs + page - 1) & -page;
    madvise((void *)first, ((uintptr_t)packs_end & -page) - first, MADV_DONTNEED);
    return bytes;
}

static struct asked asked;

/* A list of each of these texts as make() has it. */
static PyObject *listed(char *const *texts, PyObject *(*make)(const char *))
{
    PyObject *list = PyList_New(0), *text;
    for (; list != NULL && *texts != NULL; texts++) {
        if ((text = make(*texts)) == NULL || PyList_Append(list, text) < 0)
            Py_CLEAR(list);
        Py_XDECREF(text);
    }
    return list;
}

/* resident_said(): why it need not be asked again, "" if it may be; or programs, command, variables, ignores SIGPIPE. */
static PyObject *resident_said(PyObject *self, PyObject *none)
{
    if (asked.programs == NULL)
        return PyUnicode_FromString(asked.silence != NULL ? asked.silence : "");
    return Py_BuildValue("NNNN", listed(asked.programs, PyBytes_FromString), listed(asked.command, PyUnicode_DecodeFSDefault),
                         listed(asked.environ, PyBytes_FromString), PyBool_FromLong(asked.ignores_sigpipe));
}

static PyMethodDef CALLS_METHODS[] = {
    {"call", (PyCFunction)(void (*)(void))call, METH_FASTCALL, NULL},
    {"packed", packed, METH_VARARGS, NULL},
    {"resident_said", resident_said, METH_NOARGS, NULL},
    {NULL},
};
static struct PyModuleDef CALLS_MODULE = {PyModuleDef_HEAD_INIT, "cross_init_calls", NULL, -1, CALLS_METHODS};
static PyObject *init_calls(void) { return PyModule_Create(&CALLS_MODULE); }

static PyObject *get_limit(PyObject *self, PyObject *args)
{
    int which;
    struct rlimit limit;
    if (!PyArg_ParseTuple(args, "i", &which))
        return NULL;
    if (getrlimit(which, &limit) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return Py_BuildValue("LL", (long long)limit.rlim_cur, (long long)limit.rlim_max);
}

static PyObject *set_limit(PyObject *self, PyObject *args)
{
    int which;
    long long soft, hard;
    if (!PyArg_ParseTuple(args, "i(LL)", &which, &soft, &hard))
        return NULL;
    if (setrlimit(which, &(struct rlimit){soft, hard}) < 0) {
        if (errno == EPERM || errno == EINVAL) /* as Python's own has it, who knows both by ValueError alone */
            return PyErr_Format(PyExc_ValueError, "%s", strerror(errno));
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

static PyMethodDef LIMITS_METHODS[] = {
    {"getrlimit", get_limit, METH_VARARGS, NULL}, {"setrlimit", set_limit, METH_VARARGS, NULL}, {NULL}};
static const struct { const char *name; int number; } LIMITS[] = {
#define LIMIT(NAME) {"RLIMIT_" #NAME, RLIMIT_##NAME}
    LIMIT(AS), LIMIT(CORE), LIMIT(CPU), LIMIT(DATA), LIMIT(FSIZE), LIMIT(MEMLOCK), LIMIT(MSGQUEUE), LIMIT(NICE), LIMIT(NOFILE),
    LIMIT(NPROC), LIMIT(RSS), LIMIT(RTPRIO), LIMIT(RTTIME), LIMIT(SIGPENDING), LIMIT(STACK),
};
static struct PyModuleDef LIMITS_MODULE = {PyModuleDef_HEAD_INIT, "resource", NULL, -1, LIMITS_METHODS};
static PyObject *init_limits(void)
{
    PyObject *module = PyModule_Create(&LIMITS_MODULE);
    if (module != NULL && PyModule_AddIntConstant(module, "RLIM_INFINITY", (long)RLIM_INFINITY) < 0)
        Py_CLEAR(module);
    for (size_t row = 0; module != NULL && row < sizeof LIMITS / sizeof *LIMITS; row++)
        if (PyModule_AddIntConstant(module, LIMITS[row].name, LIMITS[row].number) < 0)
            Py_CLEAR(module);
    return module;
}

/* In the place of libpython's own table, so that no other module is linked. */
DECLARED
extern PyObject *PyMarshal_Init(void), *PyInit__imp(void), *PyInit_gc(void), *_PyWarnings_Init(void), *PyInit__string(void);
extern PyObject *PyInit__ast(void), *PyInit__tokenize(void);
struct _inittab _PyImport_Inittab[] = {
    INITS
    {"cross_init_calls", init_calls},
    {"resource", init_limits},
    {"marshal", PyMarshal_Init},
    {"_imp", PyInit__imp},
    {"builtins", NULL},
    {"sys", NULL},
    {"gc", PyInit_gc},
    {"_warnings", _PyWarnings_Init},
    {"_string", PyInit__string},
    {NULL, NULL},
};

static const struct { const char *name; int size, is_package; } SIZES[] = {FROZEN};
#define COUNT (sizeof SIZES / sizeof *SIZES)
static struct _frozen modules[COUNT + 1];

#if PY_VERSION_HEX >= 0x030D0000 /* before, that table has more than bytes in it, and begins faster */
/* In the place of libpython's own as well: all modules are in ours. */
const struct _frozen *_PyImport_FrozenBootstrap = modules + COUNT, *_PyImport_FrozenStdlib = modules + COUNT;
const struct _frozen *_PyImport_FrozenTest = modules + COUNT, *PyImport_FrozenModules;
const struct _module_alias { const char *name, *orig; } ALIASES[] = {
    {"_frozen_importlib", "importlib._bootstrap"},
    {"_frozen_importlib_external", "importlib._bootstrap_external"},
    {NULL, NULL},
}, *_PyImport_FrozenAliases = ALIASES;
#endif

static void must(PyStatus status)
{
    if (PyStatus_Exception(status)) {
        fprintf(stderr, "cross-init-bridge: starting the interpreter: %s\n", status.err_msg ? status.err_msg : "?");
        _exit(125);
    }
}

int main(int argc, char **argv)
{
    PyPreConfig before;
    PyConfig config;
    const unsigned char *from = code;

    asked = ask_resident(argc, argv);

    /* No library of the machine's is loaded for a name of a host or a user: it may not fit. */
    __nss_configure_lookup("hosts", "files dns");
    __nss_configure_lookup("passwd", "files");
    __nss_configure_lookup("group", "files");
    __nss_configure_lookup("services", "files");

    for (size_t at = 0; at < COUNT; at++) {
        modules[at] = (struct _frozen){.name = SIZES[at].name, .code = from, .size = SIZES[at].size, .is_package = SIZES[at].is_package};
        from += SIZES[at].size;
    }
    PyImport_FrozenModules = modules;

    /* As python3 -ISXutf8, without a look at the file system. */
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    must(Py_PreInitialize(&before));
    PyConfig_InitIsolatedConfig(&config);
    config.site_import = 0;
    config.install_signal_handlers = 1;
    config.write_bytecode = 0;
    config.pathconfig_warnings = 0;
    config.module_search_paths_set = 1;
    must(PyConfig_SetBytesString(&config, &config.program_name, "/proc/self/exe"));
    must(PyConfig_SetBytesString(&config, &config.executable, "/proc/self/exe"));
    must(PyConfig_SetBytesString(&config, &config.base_executable, "/proc/self/exe"));
    must(PyConfig_SetBytesString(&config, &config.prefix, "/proc/self/exe"));
    must(PyConfig_SetBytesString(&config, &config.exec_prefix, "/proc/self/exe"));
    must(PyConfig_SetBytesString(&config, &config.base_prefix, "/proc/self/exe"));
    must(PyConfig_SetBytesString(&config, &config.base_exec_prefix, "/proc/self/exe"));
    must(PyConfig_SetBytesString(&config, &config.platlibdir, "lib"));
    must(PyConfig_SetBytesArgv(&config, argc, argv));
    must(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
    if (PyImport_ImportFrozenModule("in_static") <= 0)
        PyErr_Print();
    return 125;
}
