package api

import "strings"

// By whose word: trusted roots and transparency logs.

// rootRef is a reference to a trusted root of a kind.
func rootRef(kind string, e ...edit) map[string]any {
	ref := map[string]any{"kind": kind, "name": "trust"}
	for _, change := range e {
		change(ref)
	}
	return ref
}

// rooted gives the first authority a trusted root.
func rooted(kind string, e ...edit) edit { return set(rootField, rootRef(kind, e...)) }

const noEffect = "trustedRootRef has no effect on a key with transparencyLog: Ignore: remove it, or write transparencyLog: Require"

var roots = table{
	"key":                        {edits: edits(rooted("ConfigMap"), drop(logField))},
	"key, Require":               {edits: edits(rooted("ConfigMap"), set(logField, "Require"))},
	"key, null":                  {edits: edits(rooted("ConfigMap"), set(logField, nil))},
	"keyless":                    {edits: edits(signer(), rooted("ConfigMap"))},
	"keyless, Require":           {edits: edits(signer(), rooted("ConfigMap"), set(logField, "Require"))},
	"keyless, Ignore":            {edits: edits(signer(), rooted("ConfigMap"), set(logField, "Ignore"))},
	"null":                       {edits: edits(signer(), set(rootField, nil))},
	"null, key, Ignore":          {edits: edits(set(rootField, nil))},
	"Secret":                     {edits: edits(signer(), rooted("Secret"))},
	"default entry":              {edits: edits(signer(), rooted("ConfigMap", set("key", nil)))},
	"another entry":              {edits: edits(signer(), rooted("ConfigMap", set("key", "internal.json")))},
	"longest name":               {edits: edits(signer(), rooted("ConfigMap", set("name", strings.Repeat("a", 253))))},
	"longest entry":              {edits: edits(signer(), rooted("ConfigMap", set("key", strings.Repeat("a", 253))))},
	"key, Ignore":                {edits: edits(rooted("ConfigMap")), refused: authorityField, says: noEffect},
	"key, Ignore, second of two": {edits: edits(several(2), set("verify.threshold", 1), set("verify.authorities[1].trustedRootRef", rootRef("Secret"))), refused: "verify.authorities[1]", says: noEffect},
	"no kind":                    {edits: edits(signer(), rooted("", drop("kind"))), refused: rootField + ".kind", says: "Required value"},
	"null kind":                  {edits: edits(signer(), rooted("", set("kind", nil))), refused: rootField + ".kind", says: "Required value"},
	"empty kind":                 {edits: edits(signer(), rooted("")), refused: rootField + ".kind", says: `supported values: "ConfigMap", "Secret"`},
	"other kind":                 {edits: edits(signer(), rooted("ClusterTrustBundle")), refused: rootField + ".kind", says: `supported values: "ConfigMap", "Secret"`},
	"lowercase kind":             {edits: edits(signer(), rooted("configmap")), refused: rootField + ".kind", says: `supported values: "ConfigMap", "Secret"`},
	"no name":                    {edits: edits(signer(), rooted("Secret", drop("name"))), refused: rootField + ".name", says: "Required value"},
	"null name":                  {edits: edits(signer(), rooted("Secret", set("name", nil))), refused: rootField + ".name", says: "Required value"},
	"empty name":                 {edits: edits(signer(), rooted("Secret", set("name", ""))), refused: rootField + ".name", says: "should be at least 1 chars long"},
	"name too long":              {edits: edits(signer(), rooted("Secret", set("name", strings.Repeat("a", 254)))), refused: rootField + ".name", says: "may not be more than 253 bytes"},
	"empty entry":                {edits: edits(signer(), rooted("Secret", set("key", ""))), refused: rootField + ".key", says: "should be at least 1 chars long"},
	"entry too long":             {edits: edits(signer(), rooted("Secret", set("key", strings.Repeat("a", 254)))), refused: rootField + ".key", says: "may not be more than 253 bytes"},
	"entry a number":             {edits: edits(signer(), rooted("Secret", set("key", 1))), refused: rootField + ".key", says: "must be of type string"},
	"bare name":                  {edits: edits(signer(), set(rootField, "trust")), refused: rootField, says: "must be of type object"},
	"public":                     {edits: edits(signer(), set(rootField, "public")), refused: rootField, says: "must be of type object"},
	"inline":                     {edits: edits(signer(), set(rootField, []any{})), refused: rootField, says: "must be of type object"},
}

const logForm = "transparencyLog must be Require or Ignore"

var logs = table{
	"Ignore":           {edits: edits(set(logField, "Ignore"))},
	"Require":          {edits: edits(set(logField, "Require"))},
	"absent":           {edits: edits(drop(logField))},
	"null":             {edits: edits(set(logField, nil))},
	"keyless, Ignore":  {edits: edits(signer(), set(logField, "Ignore"))},
	"keyless, Require": {edits: edits(signer(), set(logField, "Require"))},
	"keyless, absent":  {edits: edits(signer())},
	"one of each":      {edits: edits(several(2), set("verify.threshold", 1), set("verify.authorities[1].transparencyLog", "Require"))},
	"empty":            {edits: edits(set(logField, "")), refused: logField, says: logForm},
	"lowercase":        {edits: edits(set(logField, "ignore")), refused: logField, says: logForm},
	"capitals":         {edits: edits(set(logField, "REQUIRE")), refused: logField, says: logForm},
	"Required":         {edits: edits(set(logField, "Required")), refused: logField, says: logForm},
	"space":            {edits: edits(set(logField, "Ignore ")), refused: logField, says: logForm},
	"line break":       {edits: edits(set(logField, "Ignore\n")), refused: logField, says: logForm},
	"boolean":          {edits: edits(set(logField, false)), refused: logField, says: "must be of type string"},
	"an object":        {edits: edits(set(logField, map[string]any{"url": "https://rekor.sigstore.dev"})), refused: logField, says: "must be of type string"},
	"second of two": {
		edits:   edits(several(2), set("verify.threshold", 1), set("verify.authorities[1].transparencyLog", "None")),
		refused: "verify.authorities[1].transparencyLog", says: logForm,
	},
}
