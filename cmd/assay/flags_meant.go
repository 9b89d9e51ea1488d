package main

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// otherNames are flags of Cosign, Timoni and kubectl, and what they are called
// here.
var otherNames = map[string]string{
	"key": "cosign-key", "registry-insecure": "insecure", "allow-http-registry": "insecure", "allow-insecure-registry": "insecure",
	"new-bundle-format": "signature-format", "oidc-issuer": "certificate-oidc-issuer", "output-file": "output",
	"k": "cosign-key", "v": "version", "d": "digest", "t": "tag",
}

// meantFlag is the flag that was probably meant by one that there is not; "" where
// nobody knows.
func meantFlag(known *pflag.FlagSet, err error) string {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return ""
	}
	name := unknown.GetSpecifiedName()
	if other := known.Lookup(otherNames[name]); other != nil {
		return "--" + other.Name
	}
	best, nearest := "", 3 // letters that may be wrong, and one more
	known.VisitAll(func(f *pflag.Flag) {
		if d := distance(name, f.Name); !f.Hidden && d < nearest && d < len(name)/2 {
			best, nearest = "--"+f.Name, d
		}
	})
	if best == "" && strings.Contains(name, "creds") {
		return "docker login, whose credentials are taken"
	}
	return best
}

// distance is how many letters have to be put in, taken out or replaced to make
// one text of another (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
