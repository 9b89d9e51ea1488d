package api

import (
	"strings"
)

// Who must have signed.

var verification = table{
	"absent":          {edits: edits(drop("verify")), refused: "verify", says: "Required value"},
	"null":            {edits: edits(set("verify", nil)), refused: "verify", says: "Required value"},
	"empty":           {edits: edits(set("verify", map[string]any{})), refused: "verify.authorities", says: "Required value"},
	"a list":          {edits: edits(set("verify", []any{})), refused: "verify", says: "must be of type object"},
	"as Flux has it":  {edits: edits(set("verify", map[string]any{"provider": "cosign", "secretRef": map[string]any{"name": "keys"}})), refused: "verify.authorities", says: "Required value"},
	"off":             {edits: edits(set("verify", false)), refused: "verify", says: "must be of type object"},
	"provider cosign": {edits: edits(set("verify.provider", "cosign"))},
	"provider null":   {edits: edits(set("verify.provider", nil))},
	"provider empty":  {edits: edits(set("verify.provider", "")), refused: "verify.provider", says: "provider must be cosign"},
	"provider other":  {edits: edits(set("verify.provider", "notation")), refused: "verify.provider", says: "provider must be cosign"},
	"provider Cosign": {edits: edits(set("verify.provider", "Cosign")), refused: "verify.provider", says: "provider must be cosign"},
	"provider none":   {edits: edits(set("verify.provider", "none")), refused: "verify.provider", says: "provider must be cosign"},
}

const (
	thresholdForm   = "threshold must be between 1 and the number of authorities"
	thresholdNeeded = "write how many of them must have signed, 1 for any one of them"
)

var thresholds = table{
	"one of one":     {edits: edits(set("verify.threshold", 1))},
	"one of two":     {edits: edits(several(2), set("verify.threshold", 1))},
	"two of two":     {edits: edits(several(2), set("verify.threshold", 2))},
	"sixteen of all": {edits: edits(several(16), set("verify.threshold", 16))},
	"null, of one":   {edits: edits(set("verify.threshold", nil))},
	"absent, of two": {edits: edits(several(2)), refused: "verify", says: thresholdNeeded},
	"null, of two":   {edits: edits(several(2), set("verify.threshold", nil)), refused: "verify", says: thresholdNeeded},
	"zero":           {edits: edits(set("verify.threshold", 0)), refused: "verify", says: thresholdForm},
	"zero, of two":   {edits: edits(several(2), set("verify.threshold", 0)), refused: "verify", says: thresholdForm},
	"negative":       {edits: edits(set("verify.threshold", -1)), refused: "verify", says: thresholdForm},
	"two of one":     {edits: edits(set("verify.threshold", 2)), refused: "verify", says: thresholdForm},
	"three of two":   {edits: edits(several(2), set("verify.threshold", 3)), refused: "verify", says: thresholdForm},
	"in quotes":      {edits: edits(several(2), set("verify.threshold", "1")), refused: "verify.threshold", says: "must be of type integer"},
	"in words":       {edits: edits(several(2), set("verify.threshold", "all")), refused: "verify.threshold", says: "must be of type integer"},
}

const (
	nameForm = "name must be lower case letters, digits and hyphens, such as release-key"
	ownName  = "every authority needs a name of its own: rename one of those that share a name"
)

var parties = table{
	"one":             {edits: edits(several(1))},
	"sixteen":         {edits: edits(several(16), set("verify.threshold", 1))},
	"seventeen":       {edits: edits(several(17), set("verify.threshold", 1)), refused: "verify.authorities", says: "must have at most 16 items"},
	"none":            {edits: edits(authorities()), refused: "verify.authorities", says: "should have at least 1 items"},
	"null":            {edits: edits(set("verify.authorities", nil)), refused: "verify.authorities", says: "Required value"},
	"a map":           {edits: edits(set("verify.authorities", map[string]any{"release-key": map[string]any{}})), refused: "verify.authorities", says: "must be of type array"},
	"a null item":     {edits: edits(set("verify.authorities", []any{nil})), refused: "verify.authorities[0]", says: "must be of type object"},
	"a name":          {edits: edits(set("verify.authorities", []any{"release-key"})), refused: "verify.authorities[0]", says: "must be of type object"},
	"shortest name":   {edits: edits(set("verify.authorities[0].name", "a"))},
	"longest name":    {edits: edits(set("verify.authorities[0].name", strings.Repeat("a", 63)))},
	"digits":          {edits: edits(set("verify.authorities[0].name", "0-1"))},
	"no name":         {edits: edits(drop("verify.authorities[0].name")), refused: "verify.authorities[0].name", says: "Required value"},
	"null name":       {edits: edits(set("verify.authorities[0].name", nil)), refused: "verify.authorities[0].name", says: "Required value"},
	"empty name":      {edits: edits(set("verify.authorities[0].name", "")), refused: "verify.authorities[0].name", says: nameForm},
	"capitals":        {edits: edits(set("verify.authorities[0].name", "Release")), refused: "verify.authorities[0].name", says: nameForm},
	"space":           {edits: edits(set("verify.authorities[0].name", "release key")), refused: "verify.authorities[0].name", says: nameForm},
	"period":          {edits: edits(set("verify.authorities[0].name", "release.key")), refused: "verify.authorities[0].name", says: nameForm},
	"dash in front":   {edits: edits(set("verify.authorities[0].name", "-a")), refused: "verify.authorities[0].name", says: nameForm},
	"dash at the end": {edits: edits(set("verify.authorities[0].name", "a-")), refused: "verify.authorities[0].name", says: nameForm},
	"line break":      {edits: edits(set("verify.authorities[0].name", "a\n")), refused: "verify.authorities[0].name", says: nameForm},
	"same name": {
		edits:   edits(authorities(authority("a"), authority("b"), authority("a")), set("verify.threshold", 1)),
		refused: "verify", says: ownName,
	},
}
