package api

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// When signatures count, which digests never do, and how long one may be
// awaited.

const (
	beforeField = authorityField + ".notBefore"
	afterField  = authorityField + ".notAfter"
	timeForm    = "must be a time in RFC 3339, such as 2026-01-31T12:00:00Z"
	noTime      = "notBefore and notAfter need somebody who says when a signature was made"
	exchanged   = "notAfter must not be before notBefore: exchange them"
	someTime    = "2026-01-31T12:00:00Z"
	laterTime   = "2026-02-01T00:00:00+02:00"
)

var windows = table{
	"keyless, both":           {edits: edits(signer(), set(beforeField, someTime), set(afterField, laterTime))},
	"keyless, from":           {edits: edits(signer(), set(beforeField, someTime))},
	"keyless, until":          {edits: edits(signer(), set(afterField, someTime))},
	"keyless, Ignore":         {edits: edits(signer(), set(logField, "Ignore"), set(afterField, someTime))},
	"key, Require":            {edits: edits(set(logField, "Require"), set(afterField, someTime))},
	"key, null":               {edits: edits(set(logField, nil), set(afterField, someTime))},
	"null":                    {edits: edits(set(beforeField, nil), set(afterField, nil))},
	"one moment":              {edits: edits(signer(), set(beforeField, someTime), set(afterField, someTime))},
	"one moment in two zones": {edits: edits(signer(), set(beforeField, "2026-01-31T14:00:00+02:00"), set(afterField, someTime))},
	"leap day":                {edits: edits(signer(), set(afterField, "2024-02-29T00:00:00Z"))},
	"key, Ignore, until":      {edits: edits(set(logField, "Ignore"), set(afterField, someTime)), refused: authorityField, says: noTime},
	"key, Ignore, from":       {edits: edits(set(logField, "Ignore"), set(beforeField, someTime)), refused: authorityField, says: noTime},
	"the wrong way round":     {edits: edits(signer(), set(beforeField, laterTime), set(afterField, someTime)), refused: authorityField, says: exchanged},
	"from a number":           {edits: edits(signer(), set(beforeField, 1767225600)), refused: beforeField, says: "must be of type string"},
	"from nothing":            {edits: edits(signer(), set(beforeField, "")), refused: beforeField, says: timeForm},
	"from a date":             {edits: edits(signer(), set(beforeField, "2026-01-31")), refused: beforeField, says: timeForm},
	"until a date":            {edits: edits(signer(), set(afterField, "2026-01-31")), refused: afterField, says: timeForm},
	"no zone":                 {edits: edits(signer(), set(afterField, "2026-01-31T12:00:00")), refused: afterField, says: timeForm},
	"lowercase":               {edits: edits(signer(), set(afterField, "2026-01-31t12:00:00z")), refused: afterField, says: timeForm},
	"a space":                 {edits: edits(signer(), set(afterField, "2026-01-31 12:00:00Z")), refused: afterField, says: timeForm},
	"fraction":                {edits: edits(signer(), set(afterField, "2026-01-31T12:00:00.5Z")), refused: afterField, says: timeForm},
	"no such day":             {edits: edits(signer(), set(afterField, "2026-02-30T12:00:00Z")), refused: afterField, says: "must be a time"},
	"no such second":          {edits: edits(signer(), set(afterField, "2026-01-31T12:00:60Z")), refused: afterField, says: "must be a time"},
	"the epoch":               {edits: edits(signer(), set(afterField, "1970-01-01T00:00:00Z")), refused: afterField, says: timeForm},
	"year 0":                  {edits: edits(signer(), set(afterField, "0000-01-01T00:00:00Z")), refused: afterField, says: timeForm},
}

const denyForm = "denyDigests must each be sha256: and 64 hexadecimal digits in lower case"

func someDigests(n int) []any {
	var all []any
	for i := range n {
		all = append(all, fmt.Sprintf("sha256:%064x", i))
	}
	return all
}

var denied = table{
	"one":       {edits: edits(set("verify.denyDigests", someDigests(1)))},
	"most":      {edits: edits(set("verify.denyDigests", someDigests(64)))},
	"none":      {edits: edits(set("verify.denyDigests", []any{}))},
	"null":      {edits: edits(set("verify.denyDigests", nil))},
	"too many":  {edits: edits(set("verify.denyDigests", someDigests(65))), refused: "verify.denyDigests", says: "must have at most 64 items"},
	"twice":     {edits: edits(set("verify.denyDigests", append(someDigests(2), someDigests(1)...))), refused: "verify.denyDigests[2]", says: "Duplicate value"},
	"not one":   {edits: edits(set("verify.denyDigests", "sha256:"+strings.Repeat("a", 64))), refused: "verify.denyDigests", says: "must be of type array"},
	"capitals":  {edits: edits(set("verify.denyDigests", []any{"sha256:" + strings.Repeat("A", 64)})), refused: "verify.denyDigests", says: denyForm},
	"short":     {edits: edits(set("verify.denyDigests", []any{"sha256:" + strings.Repeat("a", 63)})), refused: "verify.denyDigests", says: denyForm},
	"bare":      {edits: edits(set("verify.denyDigests", []any{strings.Repeat("a", 64)})), refused: "verify.denyDigests", says: denyForm},
	"reference": {edits: edits(set("verify.denyDigests", []any{"app@sha256:" + strings.Repeat("a", 60)})), refused: "verify.denyDigests", says: denyForm},
	"sha512":    {edits: edits(set("verify.denyDigests", []any{"sha512:" + strings.Repeat("a", 64)})), refused: "verify.denyDigests", says: denyForm},
}

const graceForm = "signatureGracePeriod must be a duration between 0s and 1h, such as 1m"

var graces = table{
	"absent":    {},
	"null":      {edits: edits(set("verify.signatureGracePeriod", nil))},
	"none":      {edits: edits(set("verify.signatureGracePeriod", "0s"))},
	"longest":   {edits: edits(set("verify.signatureGracePeriod", "1h"))},
	"two units": {edits: edits(set("verify.signatureGracePeriod", "1m30s"))},
	"too long":  {edits: edits(set("verify.signatureGracePeriod", "1h1ms")), refused: "verify.signatureGracePeriod", says: graceForm},
	"negative":  {edits: edits(set("verify.signatureGracePeriod", "-1m")), refused: "verify.signatureGracePeriod", says: graceForm},
	"no unit":   {edits: edits(set("verify.signatureGracePeriod", "60")), refused: "verify.signatureGracePeriod", says: graceForm},
	"number":    {edits: edits(set("verify.signatureGracePeriod", 60)), refused: "verify.signatureGracePeriod", says: "must be of type string"},
	"overflow":  {edits: edits(set("verify.signatureGracePeriod", "999999999h")), refused: "verify.signatureGracePeriod", says: graceForm},
	"days":      {edits: edits(set("verify.signatureGracePeriod", "1d")), refused: "verify.signatureGracePeriod", says: graceForm},
}

// TestCoreAgreesOnTimes: a time that the API server accepts is one that the core
// can read, and the other way round.
func TestCoreAgreesOnTimes(t *testing.T) {
	t.Parallel()
	ask := installProbe(t, "time", map[string]any{"type": "object", "properties": map[string]any{"at": schemaAt(t, "spec.verify.authorities[0].notAfter")}})
	r := text{rand.New(rand.NewPCG(1, 2))}
	times := make([]map[string]any, 2000)
	for i := range times {
		times[i] = map[string]any{"at": r.damage(r.instant(), 25, "-", ":", "T", "t", "Z", "z", "+", " ", "0", "9", "60", ".5", "\n", "24:00", "é")}
	}
	accepted := 0
	for i, ok := range ask(t, times) {
		at := times[i]["at"].(string)
		if _, err := coreTime(at); ok != (err == nil) && at != "" {
			t.Errorf("%q: accepted by the API server: %t, refused by the core: %v", at, ok, err)
		}
		if ok {
			accepted++
		}
	}
	neitherAllNorNone(t, accepted, len(times))
}

// instant is a time in RFC 3339, or nearly.
func (r text) instant() string {
	two := func(most int) string { return fmt.Sprintf("%02d", r.IntN(most+1)) }
	zone := r.pick("Z", "Z", "+02:00", "-11:30", "+24:00", "+23:59", "-99:99")
	return r.pick("2026", "2024", "1970", "9999", "0001", "1969") + "-" + two(13) + "-" + two(31) + "T" + two(24) + ":" + two(60) + ":" + two(60) + zone
}

func coreTime(at string) (time.Time, error) {
	if at == "" {
		return time.Time{}, nil
	}
	return v1alpha1.ParseTime(at)
}
