#!/bin/bash
# What the compiler, the linker and make do, and what a built program does.
set -euo pipefail
cd "$(mktemp -d)"
cat >main.c <<'C'
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void *work(void *sum) {
    for (int i = 0; i < 1000; i++) __atomic_add_fetch((long *)sum, i, __ATOMIC_SEQ_CST);
    return NULL;
}

long half(long value);

int main(void) {
    pthread_t threads[4];
    long sum = 0;
    sem_t semaphore;
    sem_init(&semaphore, 0, 1);
    sem_wait(&semaphore);
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, &sum);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(page, 4096, PROT_READ);
    munmap(page, 4096);
    char *grown = realloc(malloc(1 << 20), 1 << 24);
    printf("%ld\n", half(sum));
    free(grown);
    return system("exit 3") == -1 || vfork() == 0 ? _exit(0), 0 : 0;
}
C
echo 'long half(long value) { return value / 2; }' >half.c
cat >Makefile <<'MAKE'
program: main.o half.o
	gcc -pthread -o $@ $^
%.o: %.c
	gcc -O2 -g -c -pipe -o $@ $<
MAKE
make --silent --jobs=2
test "$(./program)" = 999000
gcc -shared -fPIC -flto -o libhalf.so half.c
gcc -static -o still half.c -x c - <<<'int main(void) { return 0; }'
./still
ar rcs libhalf.a half.o
strip program
cpp main.c >/dev/null
echo "gcc: all done"
