/* Hands over to the subcommand. */
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include "cli/cli.h"

/*
 * Where standard input, output or error is closed, the first socket or file that is opened would take its
 * place, and what is written for people would go there. What is opened instead takes nothing, as the closed
 * one would not: so that it did not arrive is still told.
 */
static bool open_standard(void)
{
    static const int ways[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
        if (fcntl(i, F_GETFD) < 0 && open("/dev/null", ways[i]) != i)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    return open_standard() ? cli_main(argc, argv) : 1;
}
