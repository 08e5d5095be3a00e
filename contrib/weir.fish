# fish completion for weir. Commands and options are asked of weir itself, so this never lags behind.
function __weir_commands
    weir help 2>/dev/null | string replace -rf '^  ([a-z]+) +(.*)' '$1\t$2'
end
function __weir_options
    set -l words (commandline -opc)
    test (count $words) -ge 2; and weir $words[2] --help 2>/dev/null | string replace -rf '^  .*(--[a-z][a-z-]*)( [A-Z]+)? +(.*)' '$1\t$3'
end
complete -c weir -n 'test (count (commandline -opc)) -eq 1' -f -a '(__weir_commands)'
complete -c weir -n 'test (count (commandline -opc)) -ge 2' -a '(__weir_options)'
