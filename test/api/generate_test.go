package api

import (
	"math/rand/v2"
	"strings"

	"github.com/assay-dev/assay/internal/verify"
)

// The generators below make strings that are near to what a field takes: a
// well formed one, in which a piece is replaced, added, left out or doubled now
// and then. They are seeded: every run asks the same.

// text draws strings from pieces.
type text struct{ *rand.Rand }

func (r text) pick(pieces ...string) string { return pieces[r.IntN(len(pieces))] }

// chance is true in percent of a hundred cases.
func (r text) chance(percent int) bool { return r.IntN(100) < percent }

// maybe is the piece, or nothing.
func (r text) maybe(percent int, piece func() string) string {
	if r.chance(percent) {
		return piece()
	}
	return ""
}

// repeat is the piece from least to most times, joined.
func (r text) repeat(least, most int, separator func() string, piece func() string) string {
	var all strings.Builder
	for i := range least + r.IntN(most-least+1) {
		if i > 0 {
			all.WriteString(separator())
		}
		all.WriteString(piece())
	}
	return all.String()
}

// damage changes the text in one or a few places, in half of the cases, with
// pieces that mean something where they come from. The result is no longer than
// the field takes.
func (r text) damage(whole string, most int, pieces ...string) string {
	if r.chance(50) {
		for range 1 + r.IntN(3) {
			whole = r.damageOnce(whole, pieces)
		}
	}
	runes := []rune(whole)
	return string(runes[:min(len(runes), most)])
}

func (r text) damageOnce(whole string, pieces []string) string {
	runes := []rune(whole)
	from := r.IntN(len(runes) + 1)
	to := min(from+r.IntN(3), len(runes))
	before, cut, after := string(runes[:from]), string(runes[from:to]), string(runes[to:])
	switch r.IntN(4) {
	case 0:
		return before + after
	case 1:
		return before + cut + cut + after
	case 2:
		return before + r.pick(pieces...) + after
	default:
		return before + r.pick(pieces...) + cut + after
	}
}

func (r text) number() string {
	return r.pick("0", "1", "2", "10", "07", "2026", "999999999999999999", "1234567890123456789", "18446744073709551616")
}

// version is a semantic version or range.
func (r text) version() string {
	part := func() string {
		if r.chance(25) {
			return r.pick("x", "X", "*")
		}
		return r.number()
	}
	dot := func() string { return "." }
	identifier := func() string { return r.pick("alpha", "rc", "0", "1", "01", "00", "x", "0a", "-", "1-2", "a1") }
	one := func() string {
		return r.maybe(30, func() string { return "v" }) +
			r.repeat(1, 3, dot, part) +
			r.maybe(25, func() string { return "-" + r.repeat(1, 3, dot, identifier) }) +
			r.maybe(15, func() string { return "+" + r.repeat(1, 2, dot, identifier) })
	}
	bound := func() string {
		return r.maybe(60, func() string {
			return r.pick("=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^") + r.pick("", "", " ", "  ")
		}) + one()
	}
	and := func() string { return r.pick(" ", ", ", ",", " , ", "  ") }
	group := func() string {
		if r.chance(20) {
			return one() + r.pick(" - ", "  -  ") + one()
		}
		return r.repeat(1, 3, and, bound)
	}
	or := func() string { return r.pick("||", " || ") }
	whole := r.maybe(10, func() string { return " " }) + r.repeat(1, 3, or, group) + r.maybe(10, func() string { return " " })
	return r.damage(whole, 96,
		" ", "  ", ",", ", ", "|", "||", " || ", " - ", "-", "+", ".", "..", "v", "x", "*", "=", "!", ">", "<", "~", "^", ">=", "~>", "~=", "==",
		"0", "01", "-0", "-01", "-alpha", "+1", "latest", "\t", "\n", "\u00a0", "_", "1.2.3", "99999999999999999999", "(", "٣")
}

// url is the address of a repository.
func (r text) url() string {
	host := func() string {
		if r.chance(60) {
			return r.pick("registry.example.org", "ghcr.io", "docker.io", "index.docker.io", "localhost", "127.0.0.1", "Registry.Example.ORG")
		}
		return r.pick("LOCALHOST", "registry", "Registry", "10.0.0.256", "a", "a.", "a-", "-a", "a..b", "a--b", "xn--bcher-kva.example", "[::1]", "::1", "a_b", "a%2eb",
			strings.Repeat("a", 63)+".example.org", strings.Repeat("a", 255), strings.Repeat("a.", 127)+"a")
	}
	element := func() string {
		if r.chance(80) {
			return r.pick("app", "modules", "a", "0", "my-app", "my--app", "my_app", "my__app", "my.app", "v1.0", "library", strings.Repeat("b", 60), strings.Repeat("c", 128))
		}
		return r.pick("my___app", "my..app", "App", "-a", "a-", "_", "")
	}
	slash := func() string { return "/" }
	port := func() string {
		return ":" + r.pick("5000", "443", "0", "65535", "65536", "99999", "100000", "", "http")
	}
	scheme := r.pick("oci://", "oci://", "oci://", "oci://", "oci://", "oci://", "oci://", "OCI://", "oci:/", "https://", "")
	return r.damage(scheme+host()+r.maybe(20, port)+"/"+r.repeat(1, 4, slash, element), 512,
		"/", "//", ".", "..", ":", ":5000", "@", "@sha256:00", ":latest", "?a=b", "#a", " ", "\n", "%", "%2f", "\\", "_", "__", "___", "-", "A", "é", "a", "1", "user@", "user:pass@")
}

// filter narrows the tags that are looked at.
func (r text) filter() string { return r.regExp(256) }

// regExp is a regular expression.
func (r text) regExp(most int) string {
	atom := func() string {
		return r.pick("a", ".", `\d`, `\.`, "[0-9]", "[^a-z]", "(?:arm|amd)", "(x)", "(?i:a)", "(?P<n>a)", "-arm", "^", "$", `\pL`, `\Q.\E`, "[[:alpha:]]", "(?i)", `\b`, "é")
	}
	suffix := func() string {
		return r.pick("", "", "", "*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "{1000}", "{1001}")
	}
	nothing := func() string { return "" }
	return r.damage(r.repeat(1, 6, nothing, func() string { return atom() + suffix() }), most,
		"(", ")", "[", "]", "{", "}", "*", "**", "+", "?", "|", `\`, `\Q`, `\E`, `\Qa`, "(?", "(?=a)", "(?!a)", "(?<n>a)", `\1`, `\z`, `\Z`, "[[:x:]]", "[z-a]", "{3,2}", "{1000}", "(a{1000}){1000}",
		"a)|(?:.*", `\C`, `\pX`, "(?#", "(?x)", "(?-", "\n", "#", "\x00")
}

// digest is the digest of a manifest.
func (r text) digest() string {
	hexadecimal := func() string { return r.pick("0", "1", "9", "a", "f", "c0ffee", "00ff") }
	nothing := func() string { return "" }
	whole := r.repeat(70, 70, nothing, hexadecimal)[:64]
	return r.damage(r.pick("sha256:", "sha256:", "sha256:", "sha512:", "SHA256:", "sha256-", "")+whole, 71,
		"A", "g", ":", "-", " ", "\n", "0", "ff", "sha256:", "@")
}

// tag is a mutable tag.
func (r text) tag() string {
	nothing := func() string { return "" }
	piece := func() string { return r.pick("latest", "v1", "1.0", "_", "-", ".", "A", "0", "main") }
	return r.damage(r.repeat(1, 6, nothing, piece), 128, ":", "@", "/", "..", "+", " ", "\n", "é", "%", "?", "#", "sha256:00", "*", "~")
}

// identity is who may sign with a certificate.
func (r text) identity() map[string]any {
	i := map[string]any{}
	r.matcher(i, "issuer", r.issuer)
	r.matcher(i, "subject", r.subject)
	if r.chance(50) {
		i["extensions"] = r.extensions()
	}
	if r.chance(5) {
		i[r.pick("extension", "Extensions", "issuers", "Issuer", "subjectregexp", "unknownFields", "UnknownFields")] = r.issuer()
	}
	return i
}

// matcher writes an exact value or a regular expression, and now and then both
// or neither.
func (r text) matcher(into map[string]any, field string, exact func() string) {
	switch n := r.IntN(20); {
	case n == 0:
	case n == 1:
		into[field], into[field+"RegExp"] = exact(), r.regExp(512)
	case n < 11:
		into[field] = exact()
	default:
		into[field+"RegExp"] = r.long(10, func() string { return r.regExp(512) })
	}
}

// long is the piece, or in some of a hundred cases a text near to the bound of
// what names a signer, in bytes or in characters.
func (r text) long(percent int, piece func() string) string {
	if !r.chance(percent) {
		return piece()
	}
	return strings.Repeat(r.pick("a", "a", "é", "語"), r.IntN(8)+r.pickInt(166, 252, 506)) + r.pick("", "a", "é")
}

func (r text) pickInt(numbers ...int) int { return numbers[r.IntN(len(numbers))] }

func (r text) issuer() string {
	return r.long(5, func() string {
		return r.damage(r.pick("https://token.actions.githubusercontent.com", "https://accounts.google.com", "https://gitlab.example.org", "a"), 512,
			"", " ", "é", "\n", "/", "https://", "\x00")
	})
}

func (r text) subject() string {
	return r.long(5, func() string {
		return r.damage(r.pick("release@example.org", "https://github.com/org/app/.github/workflows/release.yml@refs/tags/v1.0.0", "spiffe://example.org/ns/a/sa/b", "b"), 512,
			"", " ", "é", "@", ".*", "\\", "\t", "\x00")
	})
}

// extensions are what a certificate must say besides.
func (r text) extensions() []any {
	all := make([]any, r.IntN(4))
	for i := range all {
		name := r.pick(verify.ExtensionNames()...)
		if r.chance(5) {
			name = r.damage(name, 64, "", "x", " ", "URI", "A")
		}
		value := r.long(3, func() string { return r.pick("push", "refs/heads/main", "github-hosted", "1", "🚀 release", " ") })
		if r.chance(3) {
			value = ""
		}
		all[i] = extension(name, value)
	}
	return all
}
