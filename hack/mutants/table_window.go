package main

import "slices"

// When a signature must have been made, which digests nobody's signature makes
// good, and who may have signed what is published where its signatures are lost.
//
// Not here, because nothing is different: a start that is compared beyond whole
// seconds, which it has none of; and an authority without a start or a policy
// whose window has no start, which no time is before.
var windowMutants = slices.Concat(
	in("internal/verify/window.go",
		breaks("window-without-a-start", `return !a.NotBefore.IsZero() || !a.NotAfter.IsZero() }`, `return !a.NotAfter.IsZero() }`, "TestWindow"),
		breaks("window-without-an-end", `return !a.NotBefore.IsZero() || !a.NotAfter.IsZero() }`, `return !a.NotBefore.IsZero() }`, "TestWindow"),
		breaks("window-after-its-start", `t.Unix() < a.NotBefore.Unix()`, `t.Unix() <= a.NotBefore.Unix()`, "TestWindow"),
		breaks("window-a-second-early", `t.Unix() < a.NotBefore.Unix()`, `t.Unix()+1 < a.NotBefore.Unix()`, "TestWindow"),
		breaks("window-before-its-end", `t.Unix() > a.NotAfter.Unix()`, `t.Unix() >= a.NotAfter.Unix()`, "TestWindow"),
		breaks("window-a-second-late", `t.Unix() > a.NotAfter.Unix()`, `t.Unix()-1 > a.NotAfter.Unix()`, "TestWindow"),
		breaks("window-until-a-fraction", `t.Unix() > a.NotAfter.Unix()`, `t.After(a.NotAfter)`, "TestWindowInWholeSeconds"),
		breaks("window-without-end-is-over", `late := !a.NotAfter.IsZero() && `, `late := `, "TestWindow"),
		breaks("window-by-either-bound", `return !early && !late`, `return !early || !late`, "TestWindow"),
		breaks("window-without-a-time", `case len(times) == 0:`, `case len(times) < 0:`, "TestWindow"),
		breaks("window-at-some-time", `case slices.ContainsFunc(times, outside):`, `case outside(times[0]) && !slices.ContainsFunc(times, a.countsAt):`, "TestWindow"),
		breaks("window-at-the-first-time", `case slices.ContainsFunc(times, outside):`, `case outside(times[0]):`, "TestWindow"),
		breaks("window-at-the-last-time", `case slices.ContainsFunc(times, outside):`, `case outside(times[len(times)-1]):`, "TestWindow"),
		breaks("window-by-the-zone", `return t.UTC().Format(time.RFC3339Nano)`, `return t.Format(time.RFC3339Nano)`, "TestHashOfWindows"),
		breaks("window-none-hashed", `	if t.IsZero() {
		return ""`, `	if t.IsZero() {
		return "none"`, "TestHashIsForEver"),
		breaks("window-start-unread", `{{".notBefore", a.NotBefore}, {".notAfter", a.NotAfter}}`, `{{".notAfter", a.NotAfter}}`, "TestInvalidWindows"),
		breaks("window-end-unread", `{{".notBefore", a.NotBefore}, {".notAfter", a.NotAfter}}`, `{{".notBefore", a.NotBefore}}`, "TestInvalidWindows"),
		breaks("window-where-nothing-says-when", `case !a.needsRoot():`, `case a.Name == "":`, "TestInvalidWindows"),
		breaks("window-bound-of-a-fraction", `case bound.at.Nanosecond() != 0:`, `case bound.at.Nanosecond() < 0:`, "TestInvalidWindows"),
		breaks("window-backwards", `a.NotAfter.Before(a.NotBefore) {`, `a.NotAfter.IsZero() {`, "TestInvalidWindows"),
		breaks("window-of-one-second", `a.NotAfter.Before(a.NotBefore) {`, `!a.NotAfter.After(a.NotBefore) {`, "TestWindow"),
		breaks("window-open-is-backwards", `!a.NotAfter.IsZero() && a.NotAfter.Before`, `a.NotAfter.Before`, "TestWindow"),
	),
	in("internal/verify/deny.go",
		breaks("denies-nothing", `return slices.Contains(p.DenyDigests, digest)`, `return digest == ""`, "TestDeniedDigest"),
		breaks("denies-the-first", `return slices.Contains(p.DenyDigests, digest)`, `return slices.Contains(p.DenyDigests[:min(1, len(p.DenyDigests))], digest)`, "TestDeniedDigest"),
		breaks("denies-everything", `return slices.Contains(p.DenyDigests, digest)`, `return len(p.DenyDigests) > 0`, "TestDeniedDigest"),
		breaks("denied-one-more", `n > MaxDenyDigests {`, `n > MaxDenyDigests+1 {`, "TestInvalidDeniedDigests"),
		breaks("denied-of-any-form", `if !canonicalDigest.MatchString(digest) {`, `if digest == "" {`, "TestInvalidDeniedDigests"),
		breaks("denied-open-at-the-start", "`^sha256:", "`sha256:", "TestInvalidDeniedDigests|TestAllowsNobody"),
		breaks("denied-open-at-the-end", "{64}$`", "{64}`", "TestInvalidDeniedDigests|TestAllowsNobody"),
		breaks("denied-in-upper-case", `[0-9a-f]{64}`, `[0-9a-fA-F]{64}`, "TestInvalidDeniedDigests|TestAllowsNobody"),
		breaks("hash-by-order-of-denied", `slices.Compact(slices.Sorted(slices.Values(p.DenyDigests)))`, `slices.Compact(slices.Clone(p.DenyDigests))`, "TestHashOfDeniedDigests"),
		breaks("hash-counts-denied", `slices.Compact(slices.Sorted(slices.Values(p.DenyDigests)))`, `slices.Sorted(slices.Values(p.DenyDigests))`, "TestHashOfDeniedDigests"),
	),
	in("internal/verify/allows.go",
		breaks("allows-by-no-policy", `if p.Validate() != nil || `, `if `, "TestAllowsNobody"),
		breaks("allows-any-digest", `!canonicalDigest.MatchString(digest) || `, ``, "TestAllowsNobody"),
		breaks("allows-the-denied", `p.denies(digest) || `, ``, "TestAllowsNobody"),
		breaks("allows-one-more", `len(signers) > MaxSignatures {`, `len(signers) > MaxSignatures+1 {`, "TestAllowsNobody"),
		breaks("allows-below-the-threshold", `return len(match(satisfied)) >= p.Threshold`, `return len(match(satisfied))+1 >= p.Threshold`, "TestAllowsSigners"),
		breaks("allows-above-the-threshold", `return len(match(satisfied)) >= p.Threshold`, `return len(match(satisfied)) > p.Threshold`, "TestAllowsSigners"),
		breaks("allows-one-signer-twice", `satisfied[i][s.id()] = s`, `satisfied[i][a.Name+s.id()] = s`, "TestAllowsSignersAgainstTheVerdict"),
		breaks("allows-any-format", `(s.Format != FormatCosign && s.Format != FormatBundle) || `, ``, "TestAllowsSigners|TestAllowsNobody"),
		breaks("allows-anybody", `|| !a.names(s) {`, `{`, "TestAllowsSigners"),
		breaks("allows-keys-without-surroundings", `if !a.needsRoot() {`, `if len(a.Keys) > 0 {`, "TestAllowsSigners"),
		breaks("allows-outside-the-window", `return ok && a.timely(times).standing == satisfying`, `_ = times
	return ok`, "TestAllowsSigners"),
		breaks("allows-without-a-log", `return ok && a.timely(times).standing == satisfying`, `_ = ok
	return a.timely(times).standing == satisfying`, "TestAllowsSigners"),
		breaks("allows-a-key-with-an-issuer", `return s.Issuer == "" && `, `return `, "TestAllowsNobody"),
		breaks("allows-a-key-with-a-subject", `s.Subject == "" && `, ``, "TestAllowsNobody"),
		breaks("allows-a-key-with-extensions", `len(s.Extensions) == 0 && `, ``, "TestAllowsNobody"),
		breaks("allows-any-key", `slices.Contains(a.fingerprints(), s.KeyFingerprint)`, `len(a.Keys) > 0`, "TestAllowsSigners"),
		breaks("allows-any-identity", `return slices.ContainsFunc(a.Identities`, `return len(a.Identities) > 0 || slices.ContainsFunc(a.Identities`, "TestAllowsSigners"),
		breaks("allows-without-extensions", `, extensions: s.Extensions}`, `}`, "TestAllowsSigners"),
		breaks("allows-a-timestamp-that-is-none", `if !s.SignedTimestamp.IsZero() && a`, `if a`, "TestAllowsSigners|TestAllowsSignersAgainstTheVerdict"),
		breaks("allows-a-timestamp-by-nobody", ` && a.Root.hasTimestamper() {`, ` {`, "TestAllowsSigners"),
		breaks("allows-without-the-log-required", `if a.TransparencyLog == LogRequire {`, `if a.TransparencyLog == "" {`, "TestAllowsSigners"),
		breaks("allows-unlogged", `		if s.Log == nil {
			return nil, false`, `		if s.Log == nil {
			return times, true`, "TestAllowsSigners"),
		breaks("allows-by-timestamps-alone", `if !s.Log.IntegratedTime.IsZero() {`, `if s.Log.LogID == "x" {`, "TestAllowsSigners"),
		breaks("allows-a-log-that-says-no-time", `if !s.Log.IntegratedTime.IsZero() {`, `if s.Log.LogID != "x" {`, "TestAllowsSigners"),
		breaks("allows-a-log-not-in-use-then", `a.Root.logsAt(times)`, `a.Root.logsAt(nil)`, "TestAllowsSigners"),
		breaks("allows-any-log", `if !known || (`, `if known && (`, "TestAllowsSigners"),
		breaks("allows-a-retired-log", `(len(times) == 0 && !log.ValidityPeriodEnd.IsZero())`, `(len(times) < 0 && !log.ValidityPeriodEnd.IsZero())`, "TestAllowsSigners"),
		breaks("allows-identities-untimed", `return times, len(a.Keys) > 0 || len(times) > 0`, `return times, true`, "TestAllowsSigners"),
		breaks("allows-keys-timed-only", `return times, len(a.Keys) > 0 || len(times) > 0`, `return times, len(times) > 0`, "TestAllowsSigners"),
	),
)
