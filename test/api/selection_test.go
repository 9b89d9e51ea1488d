package api

import "strings"

// The fields that say which revision is wanted.

var urls = table{
	"two names":             {edits: edits(set("url", "oci://ghcr.io/org/app"))},
	"one name":              {edits: edits(set("url", "oci://ghcr.io/app"))},
	"nested":                {edits: edits(set("url", "oci://ghcr.io/stefanprodan/modules/podinfo"))},
	"port":                  {edits: edits(set("url", "oci://registry.internal:5000/app"))},
	"port, no domain":       {edits: edits(set("url", "oci://registry:5000/app"))},
	"localhost":             {edits: edits(set("url", "oci://localhost/app"))},
	"address":               {edits: edits(set("url", "oci://127.0.0.1:5000/app"))},
	"service":               {edits: edits(set("url", "oci://registry.registry-system.svc.cluster.local/app"))},
	"capitals in the host":  {edits: edits(set("url", "oci://GHCR.io/app"))},
	"dashes":                {edits: edits(set("url", "oci://my-registry.example.org/my-org/my--app"))},
	"underscores":           {edits: edits(set("url", "oci://ghcr.io/my_org/my__app"))},
	"periods":               {edits: edits(set("url", "oci://ghcr.io/my.org/app.v1"))},
	"digits":                {edits: edits(set("url", "oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com/0/1"))},
	"Docker Hub":            {edits: edits(set("url", "oci://docker.io/org/app"))},
	"Docker Hub, official":  {edits: edits(set("url", "oci://docker.io/library/app"))},
	"longest":               {edits: edits(set("url", "oci://"+strings.Repeat("a.", 124)+"aa/"+strings.Repeat("b", 255)))},
	"absent":                {edits: edits(drop("url")), refused: "url", says: "Required value"},
	"null":                  {edits: edits(set("url", nil)), refused: "url", says: "Required value"},
	"number":                {edits: edits(set("url", 1)), refused: "url", says: "must be of type string"},
	"empty":                 {edits: edits(set("url", "")), refused: "url", says: "should be at least 1 chars long"},
	"empty, says the form":  {edits: edits(set("url", "")), refused: "url", says: "url must be oci://<registry>[:port]/<repository>"},
	"https":                 {edits: edits(set("url", "https://ghcr.io/org/app")), refused: "url", says: "url must be oci://"},
	"no scheme":             {edits: edits(set("url", "ghcr.io/org/app")), refused: "url", says: "url must be oci://"},
	"docker scheme":         {edits: edits(set("url", "docker://ghcr.io/org/app")), refused: "url", says: "url must be oci://"},
	"capitals in scheme":    {edits: edits(set("url", "OCI://ghcr.io/org/app")), refused: "url", says: "url must be oci://"},
	"tag":                   {edits: edits(set("url", "oci://ghcr.io/org/app:latest")), refused: "url", says: "write a tag in spec.tag"},
	"version":               {edits: edits(set("url", "oci://ghcr.io/org/app:1.0.0")), refused: "url", says: "a version in spec.version"},
	"digest":                {edits: edits(set("url", "oci://ghcr.io/org/app@"+someDigest)), refused: "url", says: "a digest in spec.digest"},
	"capitals in the path":  {edits: edits(set("url", "oci://ghcr.io/Org/app")), refused: "url", says: "in lower case"},
	"no repository":         {edits: edits(set("url", "oci://ghcr.io")), refused: "url", says: "/<repository>"},
	"empty repository":      {edits: edits(set("url", "oci://ghcr.io/")), refused: "url", says: "/<repository>"},
	"slash at the end":      {edits: edits(set("url", "oci://ghcr.io/org/app/")), refused: "url", says: "/<repository>"},
	"two slashes":           {edits: edits(set("url", "oci://ghcr.io/org//app")), refused: "url", says: "/<repository>"},
	"parent folder":         {edits: edits(set("url", "oci://ghcr.io/org/../app")), refused: "url", says: "/<repository>"},
	"three underscores":     {edits: edits(set("url", "oci://ghcr.io/org/my___app")), refused: "url", says: "/<repository>"},
	"dash in front":         {edits: edits(set("url", "oci://ghcr.io/org/-app")), refused: "url", says: "/<repository>"},
	"space":                 {edits: edits(set("url", "oci://ghcr.io/org/app ")), refused: "url", says: "/<repository>"},
	"space in front":        {edits: edits(set("url", " oci://ghcr.io/org/app")), refused: "url", says: "url must be oci://"},
	"scheme of Helm's":      {edits: edits(set("url", "helm+oci://ghcr.io/org/app")), refused: "url", says: "url must be oci://"},
	"line break":            {edits: edits(set("url", "oci://ghcr.io/org/app\n")), refused: "url", says: "/<repository>"},
	"query":                 {edits: edits(set("url", "oci://ghcr.io/org/app?x=y")), refused: "url", says: "/<repository>"},
	"password":              {edits: edits(set("url", "oci://user:password@ghcr.io/org/app")), refused: "url", says: "oci://<registry>[:port]"},
	"port in letters":       {edits: edits(set("url", "oci://ghcr.io:https/org/app")), refused: "url", says: "oci://<registry>[:port]"},
	"empty port":            {edits: edits(set("url", "oci://ghcr.io:/org/app")), refused: "url", says: "oci://<registry>[:port]"},
	"IPv6":                  {edits: edits(set("url", "oci://[::1]:5000/org/app")), refused: "url", says: "oci://<registry>[:port]"},
	"no domain":             {edits: edits(set("url", "oci://registry/org/app")), refused: "url", says: "add the domain, or the port"},
	"organization as host":  {edits: edits(set("url", "oci://org/app")), refused: "url", says: "such as oci://ghcr.io/org/modules/app"},
	"Docker Hub, unnamed":   {edits: edits(set("url", "oci://docker.io/app")), refused: "url", says: "write oci://docker.io/library/<name>"},
	"Docker Hub, its index": {edits: edits(set("url", "oci://index.docker.io/app")), refused: "url", says: "oci://docker.io/<user>/<name>"},
	"repository too long":   {edits: edits(set("url", "oci://ghcr.io/"+strings.Repeat("b", 256))), refused: "url", says: "at most 255 characters"},
}

// realistic ranges: those of the README of Masterminds/semver, and what people
// write for Helm, Flux and npm.
var realistic = []string{
	"1.2.3", "v1.2.3", "1.0.0-rc.1", "1.0.0+build.5", "1.0.0-rc.1+build.5", "0.0.0", "1.2.3-alpha-1.x", "2026.9.25", "20260925.1.0", "1.0.0-0.3.7", "1.0.0-0a1",
	"1", "v1", "1.2", "*", "x", "X", "6.x", "6.X", "6.*", "6.5.x", "v6.x", "1.2.x", ">= 1.2.x", "<= 2.x", "1.x.x",
	"~1", "~1.2", "~1.2.3", "~ 1.2.3", "~1.x", "~2.3", "~>1.2", "^1", "^1.2", "^1.2.3", "^1.2.x", "^2.3", "^0.2.3", "^0.2", "^0.0.3", "^0.0", "^0", "^2.x",
	"=1.2.3", "= 1.2.3", "!=1.2.3", "!= 1.2.x", ">1.2.3", "<2", ">=1.2.3", "<=2.0.0", "=>1.2.3", "=<2.0.0",
	">=1.2.3, <2.0.0", ">=1.2.3,<2.0.0", ">= 1.2.3, < 2.0.0", ">=1.2.3 <2.0.0", ">= 1.2.3 < 2.0.0 || >= 4.2.3", ">= 1.2, < 3.0.0 || >= 4.2.3", ">=6.0.0 <7.0.0",
	"1.2 - 1.4.5", "2.3.4 - 4.5", "1.0.0 - 2.0.0", "1.2 - 1.4 || 2.x", "1.x || 2.0 - 2.4", "1.x || 2.x", "1.x||2.x", "1||2||3",
	">=1.2.3-0", ">=1.0.0-alpha <2.0.0", "~1.2.3-beta", "^1.0.0-0", ">=1.0.0-0, !=1.2.3",
	" 1.2.3 ", "1.2.3 , 1.2.x",
}

var versions = func() table {
	examples := table{
		"longest":            {edits: edits(set("version", "1.2.3-"+strings.Repeat("a", 90)))},
		"null":               {edits: edits(set("version", nil))},
		"number":             {edits: edits(set("version", 1.5)), refused: "version", says: "must be of type string"},
		"empty":              {edits: edits(set("version", "")), refused: "version", says: "should be at least 1 chars long"},
		"empty, says a form": {edits: edits(set("version", "")), refused: "version", says: "such as 6.5.4, 6.x, ~6.5 or >=6.0.0 <7.0.0"},
		"with tag":           {edits: edits(set("version", "1.x"), set("tag", "latest")), refused: "spec", says: "write version for a semantic version or range, or tag for a mutable tag"},
		"range joined to ||": {edits: edits(set("version", "1||3 - 4")), refused: "version", says: "write 1.0 - 1.4 || 2.x"},
		"|| joined to range": {edits: edits(set("version", "1.0.0 - 2.0.0||4.0.0")), refused: "version", says: "needs spaces around ||"},
		"space on one side":  {edits: edits(set("version", "1 ||3 - 4")), refused: "version", says: "needs spaces around ||"},
	}
	for _, version := range realistic {
		examples["accepted: "+version] = example{edits: edits(set("version", version))}
	}
	const form = "version must be a semantic version or range, such as 6.5.4, 6.x, ~6.5 or >=6.0.0 <7.0.0"
	for _, version := range []string{
		" ", "latest", "stable", "main", "v", "vv1.2.3", "V1.2.3", "version 1", "1.2.3.4", "1.", ".1", "1..2", "1.2.3-", "1.2.3+", "1.2.3-a..b", "1.2.3-é", "1_2",
		"1.2.3-01", "1.2.3-rc.01", "99999999999999999999", "-1", "+1", "1.-1",
		"== 1.2.3", "=== 1", "=! 1", "<>1", ">", "~", "^", ">= ", "> = 1", ">=1.2.3 <", "1.2.3,", ",1.2.3", "1.2.3,,1.2.4", "1.2.3;1.2.4", "1.2.3 and 1.2.4",
		"||", "1||", "||1", "1|2", "1 | 2", "1||||2", "1 - ", "- 1", "1 -", ">1 - 2", "1 - <2", "=1 - 2", "1 - =2", "!=1 - 2", "~1 - 2", "1 - ^2", "1 - 2 - 3", "1 - 2, 3", "(1.2.3)", "[1.0,2.0)", "1.2.3\n", "1.2.3\t", "1.2.3\u00a0",
		someDigest, "1.2.3@" + someDigest, "'1.2.3'", "${version}", "{{ .Version }}",
	} {
		examples["refused: "+version] = example{edits: edits(set("version", version)), refused: "version", says: form}
	}
	examples["a name"] = example{edits: edits(set("version", "latest")), refused: "version", says: "write a name such as latest in spec.tag"}
	return examples
}()

var tags = table{
	"latest":          {edits: edits(set("tag", "latest"))},
	"version":         {edits: edits(set("tag", "v1.2.3_build.5"))},
	"underscore":      {edits: edits(set("tag", "_"))},
	"capitals":        {edits: edits(set("tag", "PR-17"))},
	"longest":         {edits: edits(set("tag", strings.Repeat("a", 128)))},
	"with a pin":      {edits: edits(set("tag", "latest"), set("digest", someDigest))},
	"null":            {edits: edits(set("tag", nil))},
	"number":          {edits: edits(set("tag", 1)), refused: "tag", says: "must be of type string"},
	"empty":           {edits: edits(set("tag", "")), refused: "tag", says: "should be at least 1 chars long"},
	"empty, says how": {edits: edits(set("tag", "")), refused: "tag", says: "such as latest"},
	"period in front": {edits: edits(set("tag", ".a")), refused: "tag", says: "letters, digits, underscores, periods and hyphens"},
	"dash in front":   {edits: edits(set("tag", "-a")), refused: "tag", says: "letters, digits, underscores, periods and hyphens"},
	"plus":            {edits: edits(set("tag", "1.0.0+b")), refused: "tag", says: "letters, digits, underscores, periods and hyphens"},
	"slash":           {edits: edits(set("tag", "a/../b")), refused: "tag", says: "letters, digits, underscores, periods and hyphens"},
	"line break":      {edits: edits(set("tag", "latest\n")), refused: "tag", says: "letters, digits, underscores, periods and hyphens"},
	"range":           {edits: edits(set("tag", ">=1.0.0")), refused: "tag", says: "a range in spec.version"},
	"digest":          {edits: edits(set("tag", someDigest)), refused: "tag", says: "write a digest in spec.digest"},
}

// someDigest is well formed.
var someDigest = "sha256:" + strings.Repeat("0123456789abcdef", 4)

const digestForm = "digest must be sha256: and 64 hexadecimal digits in lower case"

var digests = table{
	"alone":         {edits: edits(set("digest", someDigest))},
	"with version":  {edits: edits(set("digest", someDigest), set("version", "1.0.0"))},
	"null":          {edits: edits(set("digest", nil))},
	"number":        {edits: edits(set("digest", 1)), refused: "digest", says: "must be of type string"},
	"empty":         {edits: edits(set("digest", "")), refused: "digest", says: digestForm},
	"no algorithm":  {edits: edits(set("digest", strings.TrimPrefix(someDigest, "sha256:"))), refused: "digest", says: digestForm},
	"capitals":      {edits: edits(set("digest", strings.Replace(someDigest, "abcdef", "ABCDEF", 1))), refused: "digest", says: "in lower case"},
	"one too few":   {edits: edits(set("digest", someDigest[:70])), refused: "digest", says: digestForm},
	"no digit":      {edits: edits(set("digest", someDigest[:70]+"g")), refused: "digest", says: digestForm},
	"sha512":        {edits: edits(set("digest", "sha512:"+someDigest[7:])), refused: "digest", says: digestForm},
	"of an image":   {edits: edits(set("digest", "app@"+someDigest[:67])), refused: "digest", says: "as the registry reports it"},
	"line break":    {edits: edits(set("digest", someDigest[:70]+"\n")), refused: "digest", says: digestForm},
	"too many (72)": {edits: edits(set("digest", someDigest+"0")), refused: "digest", says: "may not be more than 71 bytes"},
}

const filterForm = "versionFilter must be a regular expression in RE2 syntax that matches whole tags, such as .*-arm"

var filters = table{
	"alone":               {edits: edits(set("versionFilter", ".*-arm"))},
	"with a range":        {edits: edits(set("versionFilter", `^v?\d+\.\d+\.\d+$`), set("version", "6.x"))},
	"with a version":      {edits: edits(set("versionFilter", ".*"), set("version", "6.5.4"))},
	"with a pinned range": {edits: edits(set("versionFilter", ".*-arm"), set("version", "6.x"), set("digest", someDigest))},
	"alternatives":        {edits: edits(set("versionFilter", "a|b"))},
	"quoted":              {edits: edits(set("versionFilter", `\Qa+b\E`))},
	"longest":             {edits: edits(set("versionFilter", strings.Repeat("a", 256)))},
	"null":                {edits: edits(set("versionFilter", nil))},
	"number":              {edits: edits(set("versionFilter", 1)), refused: "versionFilter", says: "must be of type string"},
	"empty":               {edits: edits(set("versionFilter", "")), refused: "versionFilter", says: "should be at least 1 chars long"},
	"open parenthesis":    {edits: edits(set("versionFilter", "(")), refused: "versionFilter", says: filterForm},
	"glob":                {edits: edits(set("versionFilter", "*-arm")), refused: "versionFilter", says: filterForm},
	"lookahead":           {edits: edits(set("versionFilter", "(?!arm).*")), refused: "versionFilter", says: filterForm},
	"back reference":      {edits: edits(set("versionFilter", `(a)\1`)), refused: "versionFilter", says: filterForm},
	"way out of a group":  {edits: edits(set("versionFilter", "a)|(?:.*")), refused: "versionFilter", says: filterForm},
	"unended quotation":   {edits: edits(set("versionFilter", `\Qarm`)), refused: "versionFilter", says: filterForm},
	"too much repetition": {edits: edits(set("versionFilter", "a{1001}")), refused: "versionFilter", says: filterForm},
	"with tag":            {edits: edits(set("versionFilter", ".*"), set("tag", "latest")), refused: "spec", says: "remove it, or write version instead of tag"},
	"with digest alone":   {edits: edits(set("versionFilter", ".*"), set("digest", someDigest)), refused: "spec", says: "remove versionFilter, or write version beside digest"},
}
