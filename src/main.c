/* Hands over to the subcommand. */
int main(void)
{
    return 0;
}
