package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
)

// Certificates: whom they may name, and by whose trusted root.

const (
	someIssuer  = "https://token.actions.githubusercontent.com"
	someSubject = "https://github.com/org/app/.github/workflows/release.yml@refs/tags/v1.0.0"
)

// identity is who signs in a workflow.
func identity(e ...edit) map[string]any {
	i := map[string]any{"issuer": someIssuer, "subject": someSubject}
	for _, change := range e {
		change(i)
	}
	return i
}

// extension is what a certificate must say besides.
func extension(name, value string) map[string]any {
	return map[string]any{"name": name, "value": value}
}

// listOf is a list as it is decoded.
func listOf(items ...map[string]any) []any {
	list := make([]any, len(items))
	for i, item := range items {
		list[i] = item
	}
	return list
}

// keyless names identities.
func keyless(identities ...map[string]any) map[string]any {
	return map[string]any{"identities": listOf(identities...)}
}

// certificates turns an authority with a key into one with certificates.
func certificates(identities ...map[string]any) edit {
	return func(authority map[string]any) {
		delete(authority, "key")
		delete(authority, "transparencyLog")
		authority["keyless"] = keyless(identities...)
	}
}

// onlyKeyless replaces the spec's authorities by one with certificates.
func onlyKeyless(identities ...map[string]any) edit {
	return authorities(authority("release", certificates(identities...)))
}

// signer replaces the spec's authorities by one with one identity.
func signer(e ...edit) edit { return onlyKeyless(identity(e...)) }

// people are n identities.
func people(n int) []map[string]any {
	all := make([]map[string]any, n)
	for i := range all {
		all[i] = identity(set("subject", fmt.Sprintf("release-%d@example.org", i)))
	}
	return all
}

const (
	authorityField  = "verify.authorities[0]"
	keylessField    = authorityField + ".keyless"
	identitiesField = keylessField + ".identities"
	identityField   = identitiesField + "[0]"
	extensionField  = identityField + ".extensions[0]"
	rootField       = authorityField + ".trustedRootRef"
	logField        = authorityField + ".transparencyLog"

	keyOrKeyless      = "an authority needs exactly one of key and keyless: make two authorities, and say by threshold how many of them must sign"
	tooManyIdentities = "authorities must have at most 32 identities in all: remove those that sign no more, or write a regular expression for several"
)

var certified = table{
	"keyless":             {edits: edits(signer())},
	"null key beside":     {edits: edits(signer(), set(keyField, nil))},
	"key, null keyless":   {edits: edits(set(keylessField, nil))},
	"one key, one not":    {edits: edits(set("verify.threshold", 2), authorities(authority("a"), authority("b", certificates(identity()))))},
	"both":                {edits: edits(set(keylessField, keyless(identity()))), refused: authorityField, says: keyOrKeyless},
	"neither":             {edits: edits(drop(keyField)), refused: authorityField, says: keyOrKeyless},
	"both null":           {edits: edits(set(keyField, nil), set(keylessField, nil)), refused: authorityField, says: keyOrKeyless},
	"second has both":     {edits: edits(several(2), set("verify.threshold", 1), set("verify.authorities[1].keyless", keyless(identity()))), refused: "verify.authorities[1]", says: keyOrKeyless},
	"bare text":           {edits: edits(onlyKeyless(), set(keylessField, someSubject)), refused: keylessField, says: "must be of type object"},
	"a switch":            {edits: edits(onlyKeyless(), set(keylessField, true)), refused: keylessField, says: "must be of type object"},
	"as Flux has it":      {edits: edits(onlyKeyless(), set(keylessField, listOf(identity()))), refused: keylessField, says: "must be of type object"},
	"empty":               {edits: edits(onlyKeyless(), set(keylessField, map[string]any{})), refused: identitiesField, says: "Required value"},
	"null identities":     {edits: edits(onlyKeyless(), set(identitiesField, nil)), refused: identitiesField, says: "Required value"},
	"no identities":       {edits: edits(onlyKeyless()), refused: identitiesField, says: "should have at least 1 items"},
	"an identity alone":   {edits: edits(onlyKeyless(), set(identitiesField, identity())), refused: identitiesField, says: "must be of type array"},
	"a null identity":     {edits: edits(onlyKeyless(), set(identitiesField, []any{nil})), refused: identityField, says: "must be of type object"},
	"an address":          {edits: edits(onlyKeyless(), set(identitiesField, []any{"release@example.org"})), refused: identityField, says: "must be of type object"},
	"thirty-two":          {edits: edits(onlyKeyless(people(32)...))},
	"the same twice":      {edits: edits(onlyKeyless(identity(), identity()))},
	"thirty-three":        {edits: edits(onlyKeyless(people(33)...)), refused: identitiesField, says: "must have at most 32 items"},
	"thirty-two in all":   {edits: edits(set("verify.threshold", 1), inAll(16, 16))},
	"thirty-three, two":   {edits: edits(set("verify.threshold", 1), inAll(16, 17)), refused: "verify", says: tooManyIdentities},
	"thirty-three, one":   {edits: edits(set("verify.threshold", 1), inAll(32, 1)), refused: "verify", says: tooManyIdentities},
	"as many as fit":      {edits: edits(set("verify.threshold", 1), inAll(32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32)), refused: "verify", says: tooManyIdentities},
	"and keys beside":     {edits: edits(set("verify.threshold", 1), inAll(16, 16), also(authority("keys", set("key", map[string]any{"data": many(32)}))))},
	"no name":             {edits: edits(signer(), drop(authorityField+".name")), refused: authorityField + ".name", says: "Required value"},
	"the name of a key's": {edits: edits(set("verify.threshold", 1), authorities(authority("a"), authority("a", certificates(identity())))), refused: "verify", says: ownName},
}

// also adds an authority to those that there are.
func also(a map[string]any) edit {
	return func(spec map[string]any) {
		verify := spec["verify"].(map[string]any)
		verify["authorities"] = append(verify["authorities"].([]any), a)
	}
}

// inAll are authorities with so many identities each.
func inAll(counts ...int) edit {
	list := make([]map[string]any, len(counts))
	for i, n := range counts {
		list[i] = authority(fmt.Sprintf("a-%d", i), certificates(people(n)...))
	}
	return authorities(list...)
}

const (
	oneIssuer   = "an identity needs exactly one of issuer and issuerRegExp: write who vouched for the signer, such as issuer: https://token.actions.githubusercontent.com"
	oneSubject  = "an identity needs exactly one of subject and subjectRegExp: write who signed, such as an e-mail address or the URL of a workflow"
	issuerForm  = "issuerRegExp must be a regular expression in RE2 syntax that matches the whole issuer"
	subjectForm = "subjectRegExp must be a regular expression in RE2 syntax that matches the whole subject"
)

// like are edits that make a regular expression of an identity's issuer or
// subject.
func like(field, text string) edit {
	return func(i map[string]any) {
		delete(i, field)
		i[field+"RegExp"] = text
	}
}

var identities = func() table {
	examples := table{
		"exact":           {edits: edits(signer())},
		"an address":      {edits: edits(signer(set("subject", "release@example.org"), set("issuer", "https://accounts.google.com")))},
		"null beside":     {edits: edits(signer(set("issuerRegExp", nil), set("subjectRegExp", nil), set("extensions", nil)))},
		"null extensions": {edits: edits(signer(set("extensions", nil)))},
		"like":            {edits: edits(signer(like("issuer", `https://.*\.example\.org`), like("subject", `https://github\.com/org/.*`)))},
		"anybody":         {edits: edits(signer(like("issuer", ".*"), like("subject", ".*")))},
		"one like":        {edits: edits(signer(like("subject", `.*@example\.org`)))},
		"empty":           {edits: edits(onlyKeyless(map[string]any{"issuer": someIssuer})), refused: identityField, says: oneSubject},
		"no issuer":       {edits: edits(signer(drop("issuer"))), refused: identityField, says: oneIssuer},
		"null issuer":     {edits: edits(signer(set("issuer", nil))), refused: identityField, says: oneIssuer},
		"two issuers":     {edits: edits(signer(set("issuerRegExp", ".*"))), refused: identityField, says: oneIssuer},
		"no subject":      {edits: edits(signer(drop("subject"))), refused: identityField, says: oneSubject},
		"null subject":    {edits: edits(signer(set("subject", nil))), refused: identityField, says: oneSubject},
		"two subjects":    {edits: edits(signer(set("subjectRegExp", ".*"))), refused: identityField, says: oneSubject},
		"the second":      {edits: edits(onlyKeyless(identity(), identity(drop("subject")))), refused: identitiesField + "[1]", says: oneSubject},
	}
	type field struct{ one, form string }
	for name, f := range map[string]field{"issuer": {oneIssuer, issuerForm}, "subject": {oneSubject, subjectForm}} {
		exact, regExp := identityField+"."+name, identityField+"."+name+"RegExp"
		tooLong := "%s must be at most 512 bytes: shorten it"
		for what, x := range map[string]example{
			"longest":             {edits: edits(signer(set(name, strings.Repeat("a", 512))))},
			"beyond ASCII":        {edits: edits(signer(set(name, strings.Repeat("é", 256))))},
			"number":              {edits: edits(signer(set(name, 1))), refused: exact, says: "must be of type string"},
			"a list":              {edits: edits(signer(set(name, []any{"a"}))), refused: exact, says: "must be of type string"},
			"empty text":          {edits: edits(signer(set(name, ""))), refused: exact, says: "should be at least 1 chars long"},
			"one too long":        {edits: edits(signer(set(name, strings.Repeat("a", 513)))), refused: exact, says: "may not be more than 512 bytes"},
			"one byte too long":   {edits: edits(signer(set(name, strings.Repeat("é", 256)+"a"))), refused: exact, says: fmt.Sprintf(tooLong, name)},
			"longest like":        {edits: edits(signer(like(name, strings.Repeat("a", 512))))},
			"like beyond ASCII":   {edits: edits(signer(like(name, strings.Repeat("é", 256))))},
			"alternatives":        {edits: edits(signer(like(name, "a|b")))},
			"anchored":            {edits: edits(signer(like(name, "^a$")))},
			"quoted":              {edits: edits(signer(like(name, `\Qa+b\E`)))},
			"like a number":       {edits: edits(signer(like(name, ""), set(name+"RegExp", 1))), refused: regExp, says: "must be of type string"},
			"like empty text":     {edits: edits(signer(like(name, ""))), refused: regExp, says: "should be at least 1 chars long"},
			"like one too long":   {edits: edits(signer(like(name, strings.Repeat("a", 513)))), refused: regExp, says: "may not be more than 512 bytes"},
			"like a byte more":    {edits: edits(signer(like(name, strings.Repeat("é", 256)+"a"))), refused: regExp, says: fmt.Sprintf(tooLong, name+"RegExp")},
			"open parenthesis":    {edits: edits(signer(like(name, "("))), refused: regExp, says: f.form},
			"glob":                {edits: edits(signer(like(name, "*@example.org"))), refused: regExp, says: f.form},
			"lookahead":           {edits: edits(signer(like(name, "(?!a).*"))), refused: regExp, says: f.form},
			"back reference":      {edits: edits(signer(like(name, `(a)\1`))), refused: regExp, says: f.form},
			"way out of a group":  {edits: edits(signer(like(name, "a)|(?:.*"))), refused: regExp, says: f.form},
			"unended quotation":   {edits: edits(signer(like(name, `\Qabc`))), refused: regExp, says: f.form},
			"too much repetition": {edits: edits(signer(like(name, "a{1001}"))), refused: regExp, says: f.form},
		} {
			examples[name+", "+what] = x
		}
	}
	return examples
}()

// says are extensions of the only identity.
func says(extensions ...map[string]any) edit { return signer(set("extensions", listOf(extensions...))) }

// everyExtension has a value for each extension that the core knows.
func everyExtension(value string) []map[string]any {
	var all []map[string]any
	for _, name := range verify.ExtensionNames() {
		all = append(all, extension(name, value))
	}
	return all
}

var extensions = func() table {
	listField := identityField + ".extensions"
	examples := table{
		"none":              {edits: edits(says())},
		"two":               {edits: edits(says(extension("sourceRepositoryURI", "https://github.com/org/app"), extension("sourceRepositoryRef", "refs/heads/main")))},
		"all":               {edits: edits(says(everyExtension("a")...))},
		"longest value":     {edits: edits(says(extension("buildTrigger", strings.Repeat("a", 512))))},
		"beyond ASCII":      {edits: edits(says(extension("githubWorkflowName", strings.Repeat("é", 256))))},
		"same value":        {edits: edits(says(extension("buildTrigger", "push"), extension("githubWorkflowTrigger", "push")))},
		"beside like":       {edits: edits(signer(like("subject", ".*"), set("extensions", listOf(extension("buildTrigger", "push")))))},
		"twice":             {edits: edits(says(extension("buildTrigger", "push"), extension("buildTrigger", "release"))), refused: listField + "[1]", says: "Duplicate value"},
		"twice the same":    {edits: edits(says(extension("buildTrigger", "push"), extension("buildTrigger", "push"))), refused: listField + "[1]", says: "Duplicate value"},
		"unknown":           {edits: edits(says(extension("sourceRepositoryURL", "https://github.com/org/app"))), refused: extensionField + ".name", says: `Unsupported value: "sourceRepositoryURL"`},
		"says which":        {edits: edits(says(extension("ref", "refs/heads/main"))), refused: extensionField + ".name", says: `"sourceRepositoryRef"`},
		"as an OID":         {edits: edits(says(extension("1.3.6.1.4.1.57264.1.20", "push"))), refused: extensionField + ".name", says: "Unsupported value"},
		"other case":        {edits: edits(says(extension("BuildTrigger", "push"))), refused: extensionField + ".name", says: "Unsupported value"},
		"the issuer":        {edits: edits(says(extension("issuer", someIssuer))), refused: extensionField + ".name", says: "Unsupported value"},
		"empty name":        {edits: edits(says(extension("", "push"))), refused: extensionField + ".name", says: "Unsupported value"},
		"no name":           {edits: edits(says(map[string]any{"value": "push"})), refused: extensionField + ".name", says: "Required value"},
		"no value":          {edits: edits(says(map[string]any{"name": "buildTrigger"})), refused: extensionField + ".value", says: "Required value"},
		"null value":        {edits: edits(says(map[string]any{"name": "buildTrigger", "value": nil})), refused: extensionField + ".value", says: "Required value"},
		"empty value":       {edits: edits(says(extension("buildTrigger", ""))), refused: extensionField + ".value", says: "should be at least 1 chars long"},
		"number":            {edits: edits(says(map[string]any{"name": "sourceRepositoryIdentifier", "value": int64(1)})), refused: extensionField + ".value", says: "must be of type string"},
		"one too long":      {edits: edits(says(extension("buildTrigger", strings.Repeat("a", 513)))), refused: extensionField + ".value", says: "may not be more than 512 bytes"},
		"one byte too long": {edits: edits(says(extension("githubWorkflowName", strings.Repeat("é", 256)+"a"))), refused: extensionField + ".value", says: "value must be at most 512 bytes: shorten it"},
		"a map":             {edits: edits(signer(set("extensions", map[string]any{"buildTrigger": "push"}))), refused: listField, says: "must be of type array"},
		"a null one":        {edits: edits(signer(set("extensions", []any{nil}))), refused: extensionField, says: "must be of type object"},
		"a name alone":      {edits: edits(signer(set("extensions", []any{"buildTrigger"}))), refused: extensionField, says: "must be of type object"},
	}
	for _, name := range verify.ExtensionNames() {
		examples[name] = example{edits: edits(says(extension(name, "a")))}
	}
	return examples
}()

// TestLargestIdentities: a policy as large as the schema allows is not refused
// for what its rules cost.
func TestLargestIdentities(t *testing.T) {
	t.Parallel()
	counts := make([]int, 16)
	for i := range counts {
		counts[i] = 2
	}
	largest := write(inAll(counts...), set("verify.threshold", 16))
	for _, item := range largest.Object["spec"].(map[string]any)["verify"].(map[string]any)["authorities"].([]any) {
		for _, i := range item.(map[string]any)["keyless"].(map[string]any)["identities"].([]any) {
			like("issuer", strings.Repeat("a.*?", 128))(i.(map[string]any))
			like("subject", strings.Repeat("a|b*", 128))(i.(map[string]any))
			set("extensions", listOf(everyExtension(strings.Repeat("a", 512))...))(i.(map[string]any))
		}
	}
	if refusals := ask(t, largest); refusals != nil {
		t.Errorf("expected it to be accepted, found %v", refusals)
	}
}
