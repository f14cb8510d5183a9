# bars.awk bars OUTPUT: puts the figures of go test -bench beside their bars.
# A bar that no benchmark answers is a miss, too.
FNR == NR {
	if ($0 ~ /^#/ || NF < 4) next
	n++
	name[n] = $1; unit[n] = $2; bar[n] = $3
	$1 = $2 = $3 = ""
	text[n] = $0
	next
}
$1 ~ /^Benchmark/ {
	benchmark = $1
	sub(/^Benchmark/, "", benchmark)
	sub(/-[0-9]+$/, "", benchmark)
	for (i = 3; i < NF; i += 2) figure[benchmark, $(i + 1)] = $i
}
END {
	printf "%-34s %12s %14s  %s\n", "benchmark", "bar", "figure", "what"
	for (i = 1; i <= n; i++) {
		key = name[i] SUBSEP unit[i]
		if (!(key in figure)) verdict = "not measured"
		else verdict = figure[key] + 0 <= bar[i] + 0 ? "ok" : "MISSED"
		if (verdict != "ok") status = 1
		printf "%-34s %12s %14s  %-6s %s\n", name[i], "<= " bar[i] " " unit[i], figure[key], verdict, text[i]
	}
	exit status
}
