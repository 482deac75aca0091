/* The answering sink, see sink.py for what it does. A thread for each connection.
 *
 * While nothing is left to send it reads blocking: two system calls a request. A blast is written
 * as far as the socket takes it and acks are read in between, so that neither side waits for the
 * other with full buffers.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM 65536

static const int window[] = {1 << 30, 1000, 16}; /* open messages at most, for each QoS */

/* of one connection */
static _Thread_local unsigned char in[2 * ROOM], out[4 * ROOM];
static _Thread_local int in_end, out_at, out_end;
static _Thread_local int blast_qos, blast_open, blast_size, blast_topic, blast_turn;
static _Thread_local long blast_left;
static _Thread_local unsigned next_id;

static void reply(int first, int high, int low)
{
    unsigned char *o = out + out_end;
    o[0] = first;
    o[1] = 2;
    o[2] = high;
    o[3] = low;
    out_end += 4;
}

static void messages(void)
{
    while (blast_left && out_end < ROOM && blast_open < window[blast_qos]) {
        unsigned char *o = out + out_end;
        int n = 2 + blast_topic + (blast_qos ? 2 : 0) + blast_size;
        *o++ = 0x30 | blast_qos << 1;
        if (n > 127)
            *o++ = (n & 127) | 128;
        *o++ = n > 127 ? n >> 7 : n;
        *o++ = blast_topic >> 8;
        *o++ = blast_topic & 255;
        memset(o, 't', blast_topic);
        if (blast_topic == 10)
            memcpy(o, "sensor/abc", 10);
        o += blast_topic;
        if (blast_turn && (blast_left & 1))
            o[-1] = 'z';
        if (blast_qos) {
            next_id = next_id % 65535 + 1;
            *o++ = next_id >> 8;
            *o++ = next_id & 255;
            blast_open++;
        }
        memset(o, 'x', blast_size);
        out_end = (int)(o + blast_size - out);
        blast_left--;
    }
}

static void packet(int head, unsigned char *body, int length)
{
    int qos = head >> 1 & 3, end;
    switch (head >> 4) {
    case 1:
        reply(0x20, 0, 0);
        break;
    case 3:
        end = 2 + (body[0] << 8 | body[1]);
        if (qos)
            reply(qos == 1 ? 0x40 : 0x50, body[end], body[end + 1]);
        if (end == 5 && body[2] == 'g' && body[3] == 'o') {
            char numbers[40] = "";
            int from = qos ? end + 2 : end, n = length - from;
            memcpy(numbers, body + from, n > 39 ? 39 : n);
            blast_qos = (body[4] - '0') % 3;
            blast_size = 64;
            blast_topic = 10;
            blast_turn = 0;
            sscanf(numbers, "%ld %d %d %d", &blast_left, &blast_size, &blast_topic, &blast_turn);
            blast_size &= 8191;
            blast_topic &= 2047;
        }
        break;
    case 4:
    case 7:
        blast_open--;
        break;
    case 5:
        reply(0x62, body[0], body[1]);
        break;
    case 6:
        reply(0x70, body[0], body[1]);
        break;
    case 8:
        reply(0x90, body[0], body[1]);
        out[out_end - 3] = 3;
        out[out_end++] = body[length - 1];
        break;
    case 10:
        reply(0xb0, body[0], body[1]);
        break;
    case 12:
        out[out_end++] = 0xd0;
        out[out_end++] = 0;
    }
}

static void packets(void)
{
    int i = 0;
    while (in_end - i >= 2) {
        int length = in[i + 1], body = i + 2;
        if (length > 127) {
            if (in_end - i < 3)
                break;
            length = (length & 127) | in[i + 2] << 7;
            body++;
        }
        if (in_end - body < length)
            break;
        packet(in[i], in + body, length);
        i = body + length;
    }
    memmove(in, in + i, in_end - i);
    in_end -= i;
}

static void *serve(void *handed)
{
    int s = (int)(long)handed;
    in_end = out_at = out_end = blast_open = 0;
    blast_left = 0;
    for (;;) {
        ssize_t n;
        int flags = 0;
        if (out_at == out_end)
            out_at = out_end = 0;
        messages();
        if (out_at < out_end) {
            n = send(s, out + out_at, out_end - out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n > 0)
                out_at += n;
            if (out_at < out_end) {
                struct pollfd p = {s, POLLIN | POLLOUT, 0};
                poll(&p, 1, -1);
            }
            if (out_at == out_end)
                out_at = out_end = 0;
        }
        if (out_at < out_end || (blast_left && !blast_qos))
            flags = MSG_DONTWAIT;
        if (out_end > 2 * ROOM)
            continue;
        n = recv(s, in + in_end, ROOM / 2, flags);
        if (n == 0 || (n < 0 && !(flags & MSG_DONTWAIT)))
            break;
        if (n > 0) {
            in_end += n;
            packets();
        } else {
            /* a peer that is gone shows in poll as readable, and then here */
            struct pollfd p = {s, 0, 0};
            poll(&p, 1, 0);
            if (p.revents & (POLLERR | POLLHUP))
                break;
        }
    }
    close(s);
    return 0;
}

static void *watch(void *unused)
{
    char c;
    (void)unused;
    while (read(0, &c, 1) > 0)
        ;
    _exit(0); /* the parent has closed it, or is gone */
}

int main(void)
{
    struct sockaddr_in a = {0};
    socklen_t size = sizeof a;
    pthread_t thread;
    int one = 1, l = socket(AF_INET, SOCK_STREAM, 0);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(l, (void *)&a, sizeof a) || listen(l, 50) || getsockname(l, (void *)&a, &size))
        return 1;
    if (pthread_create(&thread, 0, watch, 0))
        return 1;
    printf("%d\n", ntohs(a.sin_port));
    fflush(stdout);
    for (;;) {
        int s = accept(l, 0, 0);
        if (s < 0)
            return 1;
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (pthread_create(&thread, 0, serve, (void *)(long)s))
            return 1;
        pthread_detach(thread);
    }
}
