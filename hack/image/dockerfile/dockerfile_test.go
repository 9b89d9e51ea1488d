package dockerfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const minimal = `FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
RUN go build -o bin/app .
FROM scratch
COPY --chmod=0555 --from=build /src/bin/app /app
USER 65532:65532
ARG VERSION
LABEL version="$VERSION"
`

// What the two builders might read differently is refused.
func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"nothing":                   {"", "", ""},
		"another base":              {"FROM scratch", "FROM alpine", "FROM alpine: hack/image does not know that"},
		"a stage more":              {"FROM scratch", "FROM scratch\nFROM scratch", "expected 2 stages, found 3"},
		"no stage":                  {"FROM --platform", "#", "expected FROM first, found WORKDIR"},
		"a command in the image":    {"USER", "RUN true\nUSER", "RUN true: hack/image does not know that"},
		"a command more":            {"RUN", "RUN true\nRUN", "RUN go build -o bin/app .: hack/image"},
		"no command":                {"RUN go build -o bin/app .\n", "", "expected a RUN"},
		"an environment":            {"USER", "ENV A=b\nUSER", "ENV A=b: hack/image"},
		"a remote file":             {"USER", "ADD https://example.com/a /a\nUSER", "ADD https://example.com/a /a: hack/image"},
		"a file without a mode":     {"--chmod=0555 ", "", "COPY --from=build /src/bin/app /app: hack/image"},
		"a file into a folder":      {" /app\n", " /bin/\n", "COPY --chmod=0555 --from=build /src/bin/app /bin/: hack/image"},
		"a flag in the first stage": {"WORKDIR /src", "WORKDIR /src\nCOPY --link a b", "COPY --link a b: hack/image"},
		"a variable nobody sets":    {"$VERSION", "$COMMIT", "LABEL version: expected ARG COMMIT"},
		"a variable not declared":   {"ARG VERSION\n", "", "LABEL version: expected ARG VERSION"},
		"a label without quotes":    {`"$VERSION"`, `$VERSION`, "hack/image does not know that"},
		"an entry point by shell":   {"USER", "ENTRYPOINT /app\nUSER", "invalid character"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			for file, content := range map[string]string{"Dockerfile": strings.Replace(minimal, c.old, c.new, 1), ".dockerignore": "*\n"} {
				if err := os.WriteFile(filepath.Join(folder, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Read(folder)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("expected %q, found %v", c.want, err)
			}
		})
	}
}

func TestIgnore(t *testing.T) {
	ignored := ignore("# a comment\n*\n!*.go\n!api\n!hack/image/passwd\n**/*_test.go\n**/testdata\n")
	for name, want := range map[string]bool{
		"main.go": false, "main_test.go": true, "README.md": true, "cmd/main.go": true,
		"api/v1/types.go": false, "api/v1/types_test.go": true, "api/testdata/a.go": true, "apis/a.go": true,
		"hack/image/passwd": false, "hack/image/main.go": true,
	} {
		if got := ignored(name); got != want {
			t.Errorf("%s: expected %t, found %t", name, want, got)
		}
	}
}
