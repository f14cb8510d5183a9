# bars.awk bars OUTPUT: puts the figures of go test -bench beside their bars.
# A bar that no benchmark answers is a miss, too, unless only some were asked
# for.
FNR == NR {
	if ($0 ~ /^#/ || NF < 4) next
	n++
	name[n] = $1; unit[n] = $2; bar[n] = $3
	$1 = $2 = $3 = ""
	sub(/^ +/, "")
	text[n] = $0
	next
}
$1 == "pkg:" { pkg = $2; sub(/^gatewayd\//, "", pkg) }
$1 ~ /^Benchmark/ {
	benchmark = $1
	sub(/^Benchmark/, "", benchmark)
	sub(/-[0-9]+$/, "", benchmark)
	for (i = 3; i < NF; i += 2) figure[pkg "." benchmark, $(i + 1)] = $i
}
# of returns the figure that a bar is about, "" if there is none.
function of(name, unit,    part) {
	if (split(name, part, ":") == 1) return figure[name, unit]
	if (figure[part[1], unit] == "" || figure[part[2], unit] + 0 == 0) return ""
	return sprintf("%.2f", figure[part[1], unit] / figure[part[2], unit])
}
END {
	format = "%-7s %14s %-10s bar %-8s %s: %s\n"
	for (i = 1; i <= n; i++) {
		f = of(name[i], unit[i])
		if (f == "" && some != "") continue
		verdict = f == "" ? "NONE" : f + 0 <= bar[i] + 0 ? "ok" : "MISSED"
		if (verdict != "ok") status = 1
		printf format, verdict, f, unit[i], bar[i], name[i], text[i]
	}
	exit status
}
