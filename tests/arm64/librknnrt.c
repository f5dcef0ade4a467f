/* A stand-in for Rockchip's librknnrt.so: the functions that rknn-toolkit-lite2 2.5.0 calls, each passed on over a socket to the
   process that runs the tests, where the model is computed and the faults are made. Nothing is computed or decided here.

   A request is {u32 operation, u32 bytes, u64 context} and its bytes, an answer {i32 code, u32 bytes} and its bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { INIT = 1, CORE_MASK, INPUTS, RUN, OUTPUTS, DESTROY };
enum { DEVICE_UNAVAILABLE = -3, PARAM_INVALID = -5, CTX_INVALID = -7 };
enum { QUERY_IN_OUT_NUM = 0, QUERY_INPUT_ATTR = 1, QUERY_OUTPUT_ATTR = 2, QUERY_SDK_VERSION = 5, QUERY_CUSTOM_STRING = 7 };
enum { TENSOR_FLOAT32 = 0, TENSOR_FLOAT16 = 1, FORMAT_UNDEFINED = 3 };

__attribute__((used)) const char version[] = "librknnrt version: 2.5.0 (stand-in)";

typedef struct {
  uint32_t index, n_dims, dims[16];
  char name[256];
  uint32_t n_elems, size;
  int fmt, type, qnt_type;
  int8_t fl;
  int32_t zp;
  float scale;
  uint32_t w_stride, size_with_stride;
  uint8_t pass_through;
  uint32_t h_stride;
} rknn_tensor_attr;

typedef struct {
  uint32_t index;
  void *buf;
  uint32_t size;
  uint8_t pass_through;
  int type, fmt;
} rknn_input;

typedef struct {
  uint8_t want_float, is_prealloc;
  uint32_t index;
  void *buf;
  uint32_t size;
} rknn_output;

struct request { uint32_t operation, bytes; uint64_t context; };
struct answer { int32_t code; uint32_t bytes; };
struct opened { uint64_t context; uint32_t length, hidden, outputs, unused; };

typedef struct {
  int socket;
  struct opened model;
} session;

static int all(ssize_t (*move)(int, void *, size_t), int fd, void *data, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    ssize_t some = move(fd, (char *)data + done, bytes - done);
    if (some <= 0) return -1;
    done += some;
  }
  return 0;
}

static ssize_t put(int fd, void *data, size_t bytes) { return write(fd, data, bytes); }
static ssize_t get(int fd, void *data, size_t bytes) { return read(fd, data, bytes); }

/* Returns the code of the answer; its bytes, to be freed, go to `content`. */
static int ask(session *s, uint32_t operation, const void *data, uint32_t bytes, void **content, uint32_t *size) {
  struct request request = {operation, bytes, s->model.context};
  struct answer answer;
  void *received = NULL;
  if (all(put, s->socket, &request, sizeof request) || all(put, s->socket, (void *)data, bytes) ||
      all(get, s->socket, &answer, sizeof answer))
    return DEVICE_UNAVAILABLE;
  if (answer.bytes) {
    received = malloc(answer.bytes);
    if (!received || all(get, s->socket, received, answer.bytes)) {
      free(received);
      return DEVICE_UNAVAILABLE;
    }
  }
  if (content) {
    *content = received;
    *size = answer.bytes;
  } else {
    free(received);
  }
  return answer.code;
}

int rknn_init(uint64_t *context, void *model, uint32_t size, uint32_t flag, void *extend) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char *path = getenv("NPU_STAND_IN_SOCKET");
  session *s = calloc(1, sizeof *s);
  void *content = NULL;
  uint32_t bytes = 0;
  (void)flag, (void)extend;
  if (!path || !s || strlen(path) >= sizeof address.sun_path) return DEVICE_UNAVAILABLE;
  strcpy(address.sun_path, path);
  s->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(s->socket, (struct sockaddr *)&address, sizeof address)) {
    close(s->socket);
    free(s);
    return DEVICE_UNAVAILABLE;
  }
  int code = ask(s, INIT, model, size < 4096 ? size : 4096, &content, &bytes);
  if (code == 0 && bytes == sizeof s->model) {
    memcpy(&s->model, content, sizeof s->model);
    *context = (uint64_t)(uintptr_t)s;
  } else {
    code = code ? code : CTX_INVALID;
    close(s->socket);
    free(s);
  }
  free(content);
  return code;
}

int rknn_destroy(uint64_t context) {
  session *s = (session *)(uintptr_t)context;
  ask(s, DESTROY, NULL, 0, NULL, NULL);
  close(s->socket);
  free(s);
  return 0;
}

int rknn_set_core_mask(uint64_t context, int mask) {
  return ask((session *)(uintptr_t)context, CORE_MASK, &mask, sizeof mask, NULL, NULL);
}

static void describe(rknn_tensor_attr *attr, const struct opened *model, int is_input) {
  uint32_t index = attr->index;
  memset(attr, 0, sizeof *attr);
  attr->index = index;
  attr->dims[0] = 1;
  attr->fmt = FORMAT_UNDEFINED;
  attr->type = is_input ? TENSOR_FLOAT32 : TENSOR_FLOAT16;
  attr->scale = 1;
  if (is_input ? index == 0 : index == 1) {
    strcpy(attr->name, is_input ? "embeddings" : "tokens");
    attr->n_dims = 3;
    attr->dims[1] = model->length;
    attr->dims[2] = model->hidden;
    attr->n_elems = model->length * model->hidden;
  } else {
    int is_logit = !is_input && model->outputs == 1;
    strcpy(attr->name, is_input ? "mask" : is_logit ? "logit" : "vector");
    attr->n_dims = 2;
    attr->dims[1] = is_input ? model->length : is_logit ? 1 : model->hidden;
    attr->n_elems = attr->dims[1];
  }
  attr->size = attr->n_elems * (is_input ? 4 : 2);
  attr->size_with_stride = attr->size;
}

int rknn_query(uint64_t context, int command, void *info, uint32_t size) {
  session *s = (session *)(uintptr_t)context;
  (void)size;
  switch (command) {
    case QUERY_IN_OUT_NUM:
      ((uint32_t *)info)[0] = 2;
      ((uint32_t *)info)[1] = s->model.outputs;
      return 0;
    case QUERY_INPUT_ATTR: case 8: case 10: case 14: /* the same in the NPU's own layout */
      describe(info, &s->model, 1);
      return 0;
    case QUERY_OUTPUT_ATTR: case 9: case 11: case 15:
      describe(info, &s->model, 0);
      return 0;
    case QUERY_SDK_VERSION:
      strcpy(info, "2.5.0 (stand-in)");
      strcpy((char *)info + 256, "0.9.8");
      return 0;
    case QUERY_CUSTOM_STRING:
      strcpy(info, "");
      return 0;
    default:
      return PARAM_INVALID;
  }
}

int rknn_inputs_set(uint64_t context, uint32_t count, rknn_input *inputs) {
  session *s = (session *)(uintptr_t)context;
  uint32_t bytes = 0, at = 0;
  for (uint32_t i = 0; i < count; i++) bytes += inputs[i].size;
  char *data = malloc(bytes);
  if (!data) return PARAM_INVALID;
  for (uint32_t i = 0; i < count; at += inputs[i++].size) memcpy(data + at, inputs[i].buf, inputs[i].size);
  int code = ask(s, INPUTS, data, bytes, NULL, NULL);
  free(data);
  return code;
}

int rknn_run(uint64_t context, void *extend) {
  (void)extend;
  return ask((session *)(uintptr_t)context, RUN, NULL, 0, NULL, NULL);
}

int rknn_outputs_get(uint64_t context, uint32_t count, rknn_output *outputs, void *extend) {
  session *s = (session *)(uintptr_t)context;
  (void)extend;
  for (uint32_t i = 0; i < count; i++) {
    void *content = NULL;
    uint32_t bytes = 0, index = outputs[i].index;
    int code = ask(s, OUTPUTS, &index, sizeof index, &content, &bytes);
    if (code) {
      free(content);
      return code;
    }
    if (outputs[i].is_prealloc) {
      memcpy(outputs[i].buf, content, bytes < outputs[i].size ? bytes : outputs[i].size);
      free(content);
    } else {
      outputs[i].buf = content;
      outputs[i].size = bytes;
    }
  }
  return 0;
}

int rknn_outputs_release(uint64_t context, uint32_t count, rknn_output *outputs) {
  (void)context;
  for (uint32_t i = 0; i < count; i++)
    if (!outputs[i].is_prealloc) free(outputs[i].buf);
  return 0;
}

/* Looked up when a context is opened; called for models of several shapes alone. */
int rknn_set_input_shapes(uint64_t context, uint32_t count, rknn_tensor_attr *attrs) {
  (void)context, (void)count, (void)attrs;
  return PARAM_INVALID;
}
