/* Many clients at once: load PORT CONNECTIONS WARM_UP SECONDS WAIT_MS, with the bytes of a request on standard input.
 *
 * Every connection sends the request, reads the answer and begins again: at once, also after a 503 if WAIT_MS is 0, else WAIT_MS after that,
 * as `Retry-After` asks for. Prints a JSON object of what was answered after the warm-up: for each status how often, and how long it took in milliseconds (median, 99th
 * percentile, longest). 0 stands for connections that broke. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 4096, BUCKETS = 200000, STATUSES = 600 }; /* a bucket for each 0.1 ms: 20 s */

struct client { int fd; double begun, due; int read; unsigned watched; size_t sent; struct client *next; char head[HEAD]; };

static char request[65536];
static size_t length;
static int port, epoll;
static unsigned *times[STATUSES];
static double longest[STATUSES];
static struct client *first, *last; /* those that wait, in the order in which they are due */

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static void count(int status, double seconds) {
    if (!times[status]) times[status] = calloc(BUCKETS, sizeof **times);
    int bucket = seconds * 10000;
    times[status][bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    if (seconds > longest[status]) longest[status] = seconds;
}

static void watch(struct client *client, int operation, unsigned events) {
    struct epoll_event event = { .events = events, .data.ptr = client };
    client->watched = events;
    epoll_ctl(epoll, operation, client->fd, &event);
}

/* Sends the request, or begins to. It is as cheap as can be: what the clients use, the server lacks. */
static void begin(struct client *client) {
    client->begun = now();
    client->read = 0;
    ssize_t sent = write(client->fd, request, length);
    client->sent = sent > 0 ? sent : 0;
    unsigned wanted = client->sent == length ? EPOLLIN : EPOLLIN | EPOLLOUT;
    if (wanted != client->watched) watch(client, EPOLL_CTL_MOD, wanted);
}

static void dial(struct client *client) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int one = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (client->fd < 0) { perror("socket"); exit(1); }
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connect(client->fd, (struct sockaddr *)&address, sizeof address);
    watch(client, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
    client->begun = now();
    client->read = 0;
    client->sent = 0;
}

static void wait_until(struct client *client, double due) {
    watch(client, EPOLL_CTL_MOD, 0);
    client->due = due;
    client->next = NULL;
    if (first) last->next = client; else first = client;
    last = client;
}

int main(int argc, char **argv) {
    if (argc != 6) { fprintf(stderr, "usage: load PORT CONNECTIONS WARM_UP SECONDS WAIT_MS < request\n"); return 2; }
    port = atoi(argv[1]);
    int connections = atoi(argv[2]);
    double counted = now() + atof(argv[3]), end = counted + atof(argv[4]), pause = atof(argv[5]) / 1000;
    for (ssize_t got; (got = read(0, request + length, sizeof request - length)) > 0;) length += got;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(0);
    struct client *clients = calloc(connections, sizeof *clients);
    struct epoll_event events[512];
    int dialled = 0;
    for (double at = now(); at < end; at = now()) {
        /* Not all at once: the queue of connections that wait to be accepted is short. */
        for (int n = 0; n < 64 && dialled < connections; n++) dial(&clients[dialled++]);
        while (first && first->due <= at) {
            struct client *due = first;
            first = due->next;
            begin(due);
        }
        int ready = epoll_wait(epoll, events, 512, 1);
        for (int n = 0; n < ready; n++) {
            struct client *client = events[n].data.ptr;
            int broken = events[n].events & (EPOLLERR | EPOLLHUP);
            if (!broken && events[n].events & EPOLLOUT && client->sent < length) {
                ssize_t sent = write(client->fd, request + client->sent, length - client->sent);
                if (sent > 0) client->sent += sent;
                else if (errno != EAGAIN) broken = 1;
                if (client->sent == length) watch(client, EPOLL_CTL_MOD, EPOLLIN);
            }
            if (!broken && events[n].events & EPOLLIN) {
                ssize_t got = read(client->fd, client->head + client->read, HEAD - 1 - client->read);
                if (got <= 0) broken = !(got < 0 && errno == EAGAIN);
                else {
                    client->read += got;
                    client->head[client->read] = 0;
                    char *body = strstr(client->head, "\r\n\r\n"), *field = strcasestr(client->head, "content-length:");
                    if (body && client->head + client->read - body - 4 >= (field && field < body ? atoi(field + 15) : 0)) {
                        int status = atoi(client->head + 9);
                        if (now() > counted) count(status, now() - client->begun);
                        if (status == 503 && pause > 0) wait_until(client, now() + pause);
                        else begin(client);
                    }
                }
            }
            if (broken) {
                if (now() > counted) count(0, now() - client->begun);
                close(client->fd);
                dial(client);
            }
        }
    }
    printf("{");
    for (int status = 0, told = 0; status < STATUSES; status++) {
        if (!times[status]) continue;
        unsigned all = 0, seen = 0;
        double median = -1, high = -1;
        for (int n = 0; n < BUCKETS; n++) all += times[status][n];
        for (int n = 0; n < BUCKETS; n++) {
            seen += times[status][n];
            if (median < 0 && seen * 2 >= all) median = n / 10.0;
            if (high < 0 && seen >= all * 0.99) high = n / 10.0;
        }
        printf("%s\"%d\": {\"count\": %u, \"median\": %.1f, \"p99\": %.1f, \"longest\": %.1f}", told++ ? ", " : "", status, all, median, high, longest[status] * 1000);
    }
    printf("}\n");
}
