// What the module takes from outside: Envoy's C ABI of dynamic modules, version 0.2.0 (Envoy 1.40), and the C library that
// Envoy has loaded.  No header is included, so that a compiler is all that is needed.

#ifndef CORRAL_ENVOY_H
#define CORRAL_ENVOY_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;
typedef u64 size;
typedef _Bool boolean;

// Bytes that somebody else owns; they need not end with a zero.
typedef struct {
  const char *p;
  size n;
} text;

typedef struct {
  text key, value;
} header;

#define T(literal) ((text){ literal, sizeof(literal) - 1 })
#define NO_TEXT ((text){ 0, 0 })
#define COUNT(array) (sizeof(array) / sizeof *(array))

void *malloc(size);
void *calloc(size, size);
void *realloc(void *, size);
void free(void *);
_Noreturn void abort(void);
void *memcpy(void *, const void *, size);
void *memmove(void *, const void *, size);
void *memset(void *, int, size);
void *memchr(const void *, int, size);
void *memmem(const void *, size, const void *, size);
int memcmp(const void *, const void *, size);
int strncasecmp(const char *, const char *, size);
double strtod(const char *, char **);
int snprintf(char *, size, const char *, ...);
int open(const char *, int, ...);
i64 read(int, void *, size);
i64 write(int, const void *, size);
i64 lseek(int, i64, int);
int close(int);
void *mmap(void *, size, int, int, int, i64);
int munmap(void *, size);
int sched_yield(void);
int rename(const char *, const char *);
#ifdef __APPLE__
enum { OPEN_TO_APPEND = 0x209 }; // O_WRONLY | O_APPEND | O_CREAT
#else
enum { OPEN_TO_APPEND = 02101 };
#endif

#define ABI(type, name) extern type envoy_dynamic_module_callback_##name
#define envoy(name) envoy_dynamic_module_callback_##name

// Of which headers; likewise of which part of a body, and of which metadata.
enum { REQUEST_HEADERS = 0, RESPONSE_HEADERS = 2 };
enum { REQUEST_PIECE = 0, REQUEST_HELD = 1, RESPONSE_PIECE = 2, RESPONSE_HELD = 3 };
enum { DYNAMIC_METADATA = 0 };
enum { RESPONSE_CODE_DETAILS = 16 };

// What a hook says of headers and of a piece of a body.
enum { CONTINUE = 0, STOP = 1 };
enum { PASS = 0, HOLD = 1, STOP_WITHOUT_HOLDING = 3 };

ABI(size, http_get_headers_size)(void *, int);
ABI(boolean, http_get_headers)(void *, int, header *);
ABI(boolean, http_get_header)(void *, int, text, text *, size, size *);
ABI(boolean, http_set_header)(void *, int, text, text);
ABI(boolean, http_add_header)(void *, int, text, text);
ABI(void, http_send_response)(void *, u32, header *, size, text, text);
ABI(size, http_get_body_size)(void *, int);
ABI(size, http_get_body_chunks_size)(void *, int);
ABI(boolean, http_get_body_chunks)(void *, int, text *);
ABI(boolean, http_append_body)(void *, int, text);
ABI(boolean, http_drain_body)(void *, int, size);
ABI(void, http_set_dynamic_metadata_number)(void *, text, text, double);
ABI(boolean, http_set_filter_state_bytes)(void *, text, text);
ABI(boolean, http_filter_get_attribute_string)(void *, int, text *);
ABI(boolean, http_get_metadata_number)(void *, int, text, text, double *);
ABI(void, http_clear_route_cache)(void *);
ABI(void, http_clear_route_cluster_cache)(void *);
ABI(void *, get_most_specific_route_config)(void *);
ABI(void *, http_filter_scheduler_new)(void *);
ABI(void, http_filter_scheduler_delete)(void *);
ABI(void, http_filter_scheduler_commit)(void *, u64);
ABI(void, http_filter_continue_decoding)(void *);
ABI(boolean, cluster_specifier_get_dynamic_metadata_number)(void *, text, text, double *);
ABI(boolean, cluster_specifier_get_cluster_host_count)(void *, text, u32, size *, size *, size *);
ABI(void, cluster_specifier_set_cluster_name)(void *, text);
ABI(boolean, cluster_specifier_set_route_action_override)(void *, text);
ABI(boolean, access_logger_get_dynamic_metadata_number)(void *, text, text, double *);
ABI(boolean, access_logger_get_header_value)(void *, int, text, text *, size, size *);
ABI(u32, access_logger_get_response_code)(void *);
ABI(u32, access_logger_get_attempt_count)(void *);
ABI(u64, access_logger_get_response_flags)(void *);
ABI(void, access_logger_get_timing_info)(void *, i64 *);
ABI(void, bootstrap_extension_config_signal_init_complete)(void *);
ABI(boolean, bootstrap_extension_register_admin_handler)(void *, text, text, boolean, boolean);
ABI(void, bootstrap_extension_admin_set_response)(void *, text);
ABI(boolean, bootstrap_extension_get_gauge_value)(void *, text, u64 *);
ABI(void *, bootstrap_extension_config_scheduler_new)(void *);
ABI(void, bootstrap_extension_config_scheduler_commit)(void *, u64);
ABI(void *, bootstrap_extension_timer_new)(void *);
ABI(void, bootstrap_extension_timer_enable)(void *, u64);

#endif
