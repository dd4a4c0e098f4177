/* A PKCS#11 module that passes every call to a real one (SHIM_MODULE), writes its name down (SHIM_LOG) and, where it
 * is told, lies or fails. Each wrapper takes eight words, as the calling conventions of 64-bit Unix allow. Told by:
 *   SHIM_FAULT  what:C_Name:n[:code], from the n-th call on: segv, abort, hang, exit, fork (and leave it sleeping),
 *               noise (on standard output and error: garbage, an answer of ours, what the call was given), fail with a
 *               code, lists (fail with a code where several attributes are asked)
 *   SHIM_FLAGS  token flags to set      SHIM_CLEAR  token flags to clear
 *   SHIM_LABEL  file: the token's label SHIM_SERIAL the token's serial number   SHIM_TWICE 1: each slot is there twice
 *   SHIM_REFUSE attribute:code, ... : the attribute is not given
 *   SHIM_LIE    of attributes, and CKR_OK: long, unavailable, none, untouched, stale (a length and no value)
 *               of listings: endless, many (a count above the room), fewer (mechanisms than announced)
 *   SHIM_KEY    from:to  a key type told as another        SHIM_CLASS from:to  an object class told as another
 *   SHIM_SET    number   CKA_PARAMETER_SET of all           SHIM_VALUE file     CKA_VALUE of all
 *   SHIM_TEXT   file     CKA_LABEL of all                   SHIM_PEEK  file     the process's environment and arguments
 * A file beside it, its own path and `.told`, tells the same, NAME=VALUE a line, to this module alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long U;
typedef U (*Call)(U, U, U, U, U, U, U, U);
typedef struct { U type; void *value; U length; } Attribute;
#define NONE ((U)-1)

static const char *NAMES[] = {
    "C_Initialize", "C_Finalize", "C_GetInfo", "C_GetFunctionList", "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo",
    "C_GetMechanismList", "C_GetMechanismInfo", "C_InitToken", "C_InitPIN", "C_SetPIN", "C_OpenSession",
    "C_CloseSession", "C_CloseAllSessions", "C_GetSessionInfo", "C_GetOperationState", "C_SetOperationState", "C_Login",
    "C_Logout", "C_CreateObject", "C_CopyObject", "C_DestroyObject", "C_GetObjectSize", "C_GetAttributeValue",
    "C_SetAttributeValue", "C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal", "C_EncryptInit", "C_Encrypt",
    "C_EncryptUpdate", "C_EncryptFinal", "C_DecryptInit", "C_Decrypt", "C_DecryptUpdate", "C_DecryptFinal",
    "C_DigestInit", "C_Digest", "C_DigestUpdate", "C_DigestKey", "C_DigestFinal", "C_SignInit", "C_Sign",
    "C_SignUpdate", "C_SignFinal", "C_SignRecoverInit", "C_SignRecover", "C_VerifyInit", "C_Verify", "C_VerifyUpdate",
    "C_VerifyFinal", "C_VerifyRecoverInit", "C_VerifyRecover", "C_DigestEncryptUpdate", "C_DecryptDigestUpdate",
    "C_SignEncryptUpdate", "C_DecryptVerifyUpdate", "C_GenerateKey", "C_GenerateKeyPair", "C_WrapKey", "C_UnwrapKey",
    "C_DeriveKey", "C_SeedRandom", "C_GenerateRandom", "C_GetFunctionStatus", "C_CancelFunction", "C_WaitForSlotEvent"};
enum { GET_SLOTS = 4, TOKEN_INFO = 6, MECHANISMS = 7, OPEN_SESSION = 12, LOGIN = 18, GET_ATTRIBUTES = 24, FIND = 27, COUNT = 68 };

static struct { unsigned char version[2]; Call call[COUNT]; } ours, *theirs;
static int calls[COUNT], inside;

static void told(const char *text, U number) {
    const char *path = getenv("SHIM_LOG");
    FILE *log = path ? fopen(path, "a") : NULL;
    if (log) { fprintf(log, "%d %s %lx\n", (int)getpid(), text, number); fclose(log); }
}

static U number(const char *name) { const char *text = getenv(name); return text ? strtoul(text, NULL, 16) : 0; }

static int swapped(const char *name, U *value) {
    U from, to; const char *text = getenv(name);
    if (!text || sscanf(text, "%lx:%lx", &from, &to) != 2 || *value != from) return 0;
    *value = to;
    return 1;
}

static U fault(int i, U c, U d) {
    char what[16], name[64]; int n; U code = 0; const char *text = getenv("SHIM_FAULT");
    if (!text || sscanf(text, "%15[^:]:%63[^:]:%d:%lx", what, name, &n, &code) < 3) return 0;
    if (strcmp(name, NAMES[i]) || calls[i] < n) return 0;
    if (!strcmp(what, "segv")) raise(SIGSEGV);
    if (!strcmp(what, "abort")) abort();
    if (!strcmp(what, "hang")) for (;;) sleep(1);
    if (!strcmp(what, "exit")) _exit(3);
    if (!strcmp(what, "fork") && calls[i] == n && !fork()) { told("FORKED", (U)getpid()); for (;;) sleep(1); }
    if (!strcmp(what, "noise")) {
        printf("{\"object\": {}}\n{\"end\": true}\n\xff\xfe\n"); fflush(stdout);
        fprintf(stderr, "noise %.*s\n", i == LOGIN ? (int)d : 0, i == LOGIN ? (char *)c : "");
        printf("%.*s\n", i == LOGIN ? (int)d : 0, i == LOGIN ? (char *)c : ""); fflush(stdout);
        return 0;
    }
    return strcmp(what, "lists") || d > 1 ? code : 0;
}

static size_t file_of(const char *name, char *value, size_t room) {
    const char *path = getenv(name); FILE *file = path ? fopen(path, "rb") : NULL; size_t length = 0;
    if (file) { length = fread(value, 1, room, file); fclose(file); }
    return length;
}

static void peek(void) {
    char *path = getenv("SHIM_PEEK"), piece[4096]; ssize_t n; const char *of[] = {"/proc/self/environ", "/proc/self/cmdline"};
    int to = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    for (int i = 0; to >= 0 && i < 2; i++) {
        int from = open(of[i], O_RDONLY);
        while ((n = read(from, piece, sizeof piece)) > 0) if (write(to, piece, n) < 0) break;
        close(from);
    }
    if (to >= 0) close(to);
}

static U given(Attribute *a, U room, const void *value, U length) {
    if (a->value && room < length) { a->length = NONE; return 0x150; }
    if (a->value) memcpy(a->value, value, length);
    a->length = length;
    return 0;
}

static int lie(const char *name) { const char *text = getenv("SHIM_LIE"); return text && !strcmp(text, name); }

static U attributes(Attribute *list, const U *rooms, U count, U code) {
    static char value[8192], text[1 << 21]; size_t length = file_of("SHIM_VALUE", value, sizeof value);
    size_t letters = file_of("SHIM_TEXT", text, sizeof text);
    for (U i = 0; i < count; i++) {
        if (lie("long")) list[i].length = 0x7fffffff;
        if (lie("unavailable")) list[i].length = NONE;
        if (lie("none")) list[i].length = 0;
        if (lie("stale")) list[i].length = 9;
    }
    if (getenv("SHIM_LIE")) return 0;
    for (U i = 0; i < count; i++) {
        Attribute *a = &list[i]; U set = number("SHIM_SET"), more = 0; const char *refuse = getenv("SHIM_REFUSE");
        if (a->length != NONE && a->value && a->type == 0x100) swapped("SHIM_KEY", a->value);
        if (a->length != NONE && a->value && a->type == 0x000) swapped("SHIM_CLASS", a->value);
        if (a->type == 0x61d && set) more = given(a, rooms[i], &set, sizeof set);
        if (a->type == 0x011 && length) more = given(a, rooms[i], value, length);
        if (a->type == 0x003 && letters) more = given(a, rooms[i], text, letters);
        for (; refuse && *refuse; refuse = strchr(refuse, ',') ? strchr(refuse, ',') + 1 : "") {
            U type, why;
            if (sscanf(refuse, "%lx:%lx", &type, &why) == 2 && type == a->type) { a->length = NONE; more = why; }
        }
        int gave = (a->type == 0x61d && set) || (a->type == 0x011 && length) || (a->type == 0x003 && letters);
        code = more ? more : gave && count == 1 ? 0 : code;
    }
    return code;
}

static U pass(int i, U a, U b, U c, U d, U e, U f, U g, U h) {
    calls[i]++;
    told(NAMES[i], i == OPEN_SESSION ? b : 0);
    if (__sync_fetch_and_add(&inside, 1)) told("OVERLAP", i);
    U rooms[64] = {0};
    for (U n = 0; i == GET_ATTRIBUTES && n < d && n < 64; n++) rooms[n] = ((Attribute *)c)[n].length;
    U code = fault(i, c, d);
    int blind = i == GET_ATTRIBUTES && (lie("untouched") || lie("stale") || lie("long"));
    static U first[64], firsts;
    int again = i == FIND && lie("endless") && firsts;
    if (again) { memcpy((void *)b, first, firsts * sizeof(U)); *(U *)d = firsts; }
    else if (!code && !blind) code = theirs->call[i](a, b, c, d, e, f, g, h);
    if (!code && i == FIND && lie("endless") && !again) { firsts = *(U *)d < 64 ? *(U *)d : 64; memcpy(first, (void *)b, firsts * sizeof(U)); }
    if (!code && i == FIND && lie("many") && *(U *)d) *(U *)d += 5000;
    if (!code && i == MECHANISMS && lie("fewer") && !b) *(U *)c += 4000;
    if (!code && i == TOKEN_INFO) {
        char label[64]; size_t length = file_of("SHIM_LABEL", label, sizeof label); const char *serial = getenv("SHIM_SERIAL");
        U *flags = (U *)(b + 96); *flags = (*flags | number("SHIM_FLAGS")) & ~number("SHIM_CLEAR");
        if (length) { memset((void *)b, ' ', 32); memcpy((void *)b, label, length < 32 ? length : 32); }
        if (serial) { memset((void *)(b + 80), ' ', 16); memcpy((void *)(b + 80), serial, strlen(serial) < 16 ? strlen(serial) : 16); }
    }
    if (!code && i == GET_SLOTS && number("SHIM_TWICE") && a) { if (b) ((U *)b)[1] = ((U *)b)[0]; *(U *)c = 2; }
    if (i == GET_ATTRIBUTES && (!code || code == 0x11 || code == 0x12 || code == 0x150)) code = attributes((Attribute *)c, rooms, d, code);
    __sync_fetch_and_sub(&inside, 1);
    return code;
}

#define W(i) static U w##i(U a, U b, U c, U d, U e, U f, U g, U h) { return pass(i, a, b, c, d, e, f, g, h); }
#define TEN(X, t) X(t##0) X(t##1) X(t##2) X(t##3) X(t##4) X(t##5) X(t##6) X(t##7) X(t##8) X(t##9)
#define ALL(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) TEN(X, 1) TEN(X, 2) TEN(X, 3) TEN(X, 4) TEN(X, 5) \
    X(60) X(61) X(62) X(63) X(64) X(65) X(66) X(67)
ALL(W)
#define E(i) w##i,
static Call wrappers[COUNT] = {ALL(E)};

static void beside(void) {
    Dl_info info; char path[4096], line[4096]; FILE *file;
    if (!dladdr(&ours, &info)) return;
    snprintf(path, sizeof path, "%s.told", info.dli_fname);
    if (!(file = fopen(path, "r"))) return;
    while (fgets(line, sizeof line, file)) {
        char *equals = strchr(line, '=');
        if (!equals) continue;
        *equals = 0; equals[1 + strcspn(equals + 1, "\n")] = 0;
        setenv(line, equals + 1, 1);
    }
    fclose(file);
}

U C_GetFunctionList(void **list) {
    beside();
    peek();
    void *library = dlopen(getenv("SHIM_MODULE"), RTLD_NOW);
    U (*get)(void **) = library ? dlsym(library, "C_GetFunctionList") : NULL;
    if (!get || get((void **)&theirs)) return 5;
    memcpy(ours.version, theirs->version, 2);
    memcpy(ours.call, wrappers, sizeof wrappers);
    ours.call[3] = (Call)(void *)C_GetFunctionList;
    *list = &ours;
    return 0;
}
