/* A PKCS#11 module that passes every call to a real one (SHIM_MODULE), writes its name down (SHIM_LOG) and, where it
 * is told, lies or fails. Each wrapper takes eight words, as the calling conventions of 64-bit Unix allow. Told by:
 *   SHIM_FAULT  what:C_Name:n[:code], from the n-th call on: segv, hang, fail with a code, or abort
 *   SHIM_FLAGS  token flags to set      SHIM_CLEAR  token flags to clear
 *   SHIM_REFUSE attribute:code, ... : the attribute is not given
 *   SHIM_KEY    from:to  a key type told as another        SHIM_CLASS from:to  an object class told as another
 *   SHIM_SET    number   CKA_PARAMETER_SET of all           SHIM_VALUE file     CKA_VALUE of all */
#include <dlfcn.h>
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
enum { TOKEN_INFO = 6, OPEN_SESSION = 12, GET_ATTRIBUTES = 24, COUNT = 68 };

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

static U fault(int i) {
    char what[16], name[64]; int n; U code = 0; const char *text = getenv("SHIM_FAULT");
    if (!text || sscanf(text, "%15[^:]:%63[^:]:%d:%lx", what, name, &n, &code) < 3) return 0;
    if (strcmp(name, NAMES[i]) || calls[i] < n) return 0;
    if (!strcmp(what, "segv")) raise(SIGSEGV);
    if (!strcmp(what, "abort")) abort();
    if (!strcmp(what, "hang")) for (;;) sleep(1);
    return code;
}

static U given(Attribute *a, U room, const void *value, U length) {
    if (a->value && room < length) { a->length = NONE; return 0x150; }
    if (a->value) memcpy(a->value, value, length);
    a->length = length;
    return 0;
}

static U attributes(Attribute *list, const U *rooms, U count, U code) {
    static char value[8192]; size_t length = 0; const char *path = getenv("SHIM_VALUE");
    FILE *file = path ? fopen(path, "rb") : NULL;
    if (file) { length = fread(value, 1, sizeof value, file); fclose(file); }
    for (U i = 0; i < count; i++) {
        Attribute *a = &list[i]; U set = number("SHIM_SET"), more = 0; const char *refuse = getenv("SHIM_REFUSE");
        if (a->length != NONE && a->value && a->type == 0x100) swapped("SHIM_KEY", a->value);
        if (a->length != NONE && a->value && a->type == 0x000) swapped("SHIM_CLASS", a->value);
        if (a->type == 0x61d && set) more = given(a, rooms[i], &set, sizeof set);
        if (a->type == 0x011 && length) more = given(a, rooms[i], value, length);
        for (; refuse && *refuse; refuse = strchr(refuse, ',') ? strchr(refuse, ',') + 1 : "") {
            U type, why;
            if (sscanf(refuse, "%lx:%lx", &type, &why) == 2 && type == a->type) { a->length = NONE; more = why; }
        }
        int gave = (a->type == 0x61d && set) || (a->type == 0x011 && length);
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
    U code = fault(i);
    if (!code) code = theirs->call[i](a, b, c, d, e, f, g, h);
    if (!code && i == TOKEN_INFO) { U *flags = (U *)(b + 96); *flags = (*flags | number("SHIM_FLAGS")) & ~number("SHIM_CLEAR"); }
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

U C_GetFunctionList(void **list) {
    void *library = dlopen(getenv("SHIM_MODULE"), RTLD_NOW);
    U (*get)(void **) = library ? dlsym(library, "C_GetFunctionList") : NULL;
    if (!get || get((void **)&theirs)) return 5;
    memcpy(ours.version, theirs->version, 2);
    memcpy(ours.call, wrappers, sizeof wrappers);
    ours.call[3] = (Call)(void *)C_GetFunctionList;
    *list = &ours;
    return 0;
}
