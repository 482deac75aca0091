/* libmosquitto's client in its usual way: its network loop runs in the calling thread.
 *
 * The few functions are declared here, so that the library is enough and no header is needed.
 * Settings and output are those of board/timing.py.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

struct mosquitto;
int mosquitto_lib_init(void);
struct mosquitto *mosquitto_new(const char *id, bool clean_session, void *obj);
int mosquitto_connect(struct mosquitto *m, const char *host, int port, int keepalive);
int mosquitto_disconnect(struct mosquitto *m);
int mosquitto_socket(struct mosquitto *m);
int mosquitto_loop(struct mosquitto *m, int timeout_ms, int max_packets);
int mosquitto_subscribe(struct mosquitto *m, int *mid, const char *filter, int qos);
int mosquitto_publish(struct mosquitto *m, int *mid, const char *topic, int length,
                      const void *payload, int qos, bool retain);
void mosquitto_connect_callback_set(struct mosquitto *m,
                                    void (*f)(struct mosquitto *, void *, int));
void mosquitto_subscribe_callback_set(struct mosquitto *m,
                                      void (*f)(struct mosquitto *, void *, int, int, const int *));
void mosquitto_publish_callback_set(struct mosquitto *m,
                                    void (*f)(struct mosquitto *, void *, int));
void mosquitto_message_callback_set(struct mosquitto *m,
                                    void (*f)(struct mosquitto *, void *, const void *));

static struct mosquitto *m;
static long count;
static int qos, size, port;
static char kind[16], payload[4096];

static void result(struct mosquitto *c, void *obj, int x)
{
    count++;
}

static void message(struct mosquitto *c, void *obj, const void *msg)
{
    count++;
}

static void granted(struct mosquitto *c, void *obj, int mid, int n, const int *codes)
{
    count++;
}

static void until(long n)
{
    while (count < n)
        if (mosquitto_loop(m, 5000, 1)) {
            fprintf(stderr, "the link was lost\n");
            exit(1);
        }
}

static int setting(const char *name, int otherwise)
{
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}

static void attach(void)
{
    int one = 1;
    count = 0;
    mosquitto_connect_callback_set(m, result);
    if (mosquitto_connect(m, "127.0.0.1", port, 60)) {
        fprintf(stderr, "no connection\n");
        exit(1);
    }
    if (setting("BENCH_NODELAY", 0))
        setsockopt(mosquitto_socket(m), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    until(1);
}

static void publish(long n, long open)
{
    long i;
    count = 0;
    for (i = 1; i <= n; i++) {
        mosquitto_publish(m, 0, "sensor/abc", size, payload, qos, false);
        until(i - open);
    }
    until(n);
}

static void run(long n)
{
    char topic[] = "go0", number[24];
    long i;
    if (!strcmp(kind, "publish"))
        publish(n, 0);
    else if (!strcmp(kind, "window"))
        publish(n, 9);
    else if (!strcmp(kind, "link"))
        for (i = 0; i < n; i++) {
            attach();
            mosquitto_disconnect(m);
        }
    else if (!strcmp(kind, "trip")) {
        count = 0;
        for (i = 1; i <= n; i++) {
            mosquitto_publish(m, 0, "sensor/abc", size, payload, 0, false);
            until(i);
        }
    } else {
        topic[2] += qos;
        mosquitto_publish(m, 0, topic, sprintf(number, "%ld", n), number, 0, false);
        count = 0;
        until(n);
    }
}

int main(void)
{
    const char *mode = getenv("BENCH_MODE");
    long n = 20, most, goal = 1000L * setting("BENCH_MS", 200), fixed = setting("BENCH_COUNT", 0);
    long us = 1;
    int turn, end = mode ? strcspn(mode, "012") : 0;
    if (!mode || end > 15)
        return 1;
    memcpy(kind, mode, end);
    qos = mode[end] ? mode[end] - '0' : 0;
    size = setting("BENCH_SIZE", 16);
    port = setting("BENCH_PORT", 0);
    most = strcmp(kind, "link") ? 200000 : 200;
    memset(payload, 'x', sizeof payload);
    mosquitto_lib_init();
    m = mosquitto_new("peer", true, 0);
    mosquitto_subscribe_callback_set(m, granted);
    if (strcmp(kind, "link"))
        attach();
    if (!strcmp(kind, "trip")) {
        count = 0;
        mosquitto_subscribe(m, 0, "sensor/abc", 0);
        until(1);
    }
    if (!strcmp(kind, "receive") || !strcmp(kind, "trip"))
        mosquitto_message_callback_set(m, message);
    else if (strcmp(kind, "link"))
        mosquitto_publish_callback_set(m, result);
    if (fixed) {
        run(20);
        run(fixed);
        return 0;
    }
    for (turn = 0; turn < 12; turn++) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        run(n);
        clock_gettime(CLOCK_MONOTONIC, &b);
        us = (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000 + 1;
        if (us >= goal * 3 / 4 || n == most)
            break;
        n = us * 8 < goal ? n * 8 : n * goal / us > n ? n * goal / us : n + 1;
        n = n > most ? most : n;
    }
    printf("rate %ld %ld\n", n, us);
    return 0;
}
