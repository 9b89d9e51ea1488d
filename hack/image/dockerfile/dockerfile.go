// Package dockerfile makes the controller's image by the Dockerfile, without a
// container engine: byte for byte the same from the same tree with the same Go.
//
// It knows the few instructions that the Dockerfile has: a stage that compiles
// a program for a platform, and a stage from scratch with files. It refuses
// every other one, so that nobody changes the one image and not the other.
package dockerfile

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Instruction is one of a Dockerfile, with its continuation lines.
type Instruction struct{ Name, Args string }

// Recipe is the Dockerfile of a work tree.
type Recipe struct {
	// Compile is the stage that makes the program, Ship what is shipped.
	Compile, Ship []Instruction

	root   string
	ignore func(name string) bool
}

// Read reads Dockerfile and .dockerignore in a work tree.
func Read(root string) (*Recipe, error) {
	raw, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		return nil, err
	}
	ignored, err := os.ReadFile(filepath.Join(root, ".dockerignore"))
	if err != nil {
		return nil, err
	}
	stages, err := parse(string(raw))
	if err != nil {
		return nil, err
	}
	r := &Recipe{Compile: stages[0], Ship: stages[1], root: root, ignore: ignore(string(ignored))}
	if _, err := r.compile(); err != nil {
		return nil, err
	}
	_, err = r.ship(Args{})
	return r, err
}

// parse returns the two stages.
func parse(text string) ([2][]Instruction, error) {
	var stages [][]Instruction
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		name, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		if name == "FROM" {
			stages = append(stages, nil)
		}
		last := len(stages) - 1
		if last < 0 {
			return [2][]Instruction{}, fmt.Errorf("the Dockerfile: expected FROM first, found %s", name)
		}
		stages[last] = append(stages[last], Instruction{name, strings.TrimSpace(args)})
	}
	if len(stages) != 2 {
		return [2][]Instruction{}, fmt.Errorf("the Dockerfile: expected 2 stages, found %d", len(stages))
	}
	return [2][]Instruction(stages), nil
}

// Sources are what the first stage copies from the work tree.
func (r *Recipe) Sources() []string {
	var list []string
	for _, i := range r.Compile {
		if fields := strings.Fields(i.Args); i.Name == "COPY" {
			list = append(list, fields[:len(fields)-1]...)
		}
	}
	return list
}

// Ignores tells whether .dockerignore leaves a file out.
func (r *Recipe) Ignores(name string) bool { return r.ignore(name) }

// download is what go build does by itself.
const download = "go mod download"

// compile is the command that makes the program, and the folder it runs in.
func (r *Recipe) compile() (command string, err error) {
	for n, i := range r.Compile {
		switch {
		case n == 0 && regexp.MustCompile(`^--platform=\$BUILDPLATFORM golang:[0-9.]+ AS build$`).MatchString(i.Args),
			i.Name == "WORKDIR", i.Name == "ARG", i.Name == "RUN" && i.Args == download,
			i.Name == "COPY" && !strings.HasPrefix(i.Args, "-"):
		case i.Name == "RUN" && command == "":
			command = i.Args
		default:
			return "", unknown(i)
		}
	}
	if command == "" {
		return "", fmt.Errorf("the Dockerfile: expected a RUN that makes the program, found none")
	}
	return command, nil
}

func unknown(i Instruction) error {
	return fmt.Errorf("the Dockerfile: %s %s: hack/image does not know that: teach it, or the two images differ", i.Name, i.Args)
}

// workdir is where the first stage runs.
func (r *Recipe) workdir() string {
	n := slices.IndexFunc(r.Compile, func(i Instruction) bool { return i.Name == "WORKDIR" })
	if n < 0 {
		return "/"
	}
	return r.Compile[n].Args
}

// file is one that is shipped.
type file struct {
	from    string // in the work tree, or in the stage if compiled
	built   bool
	to      string // absolute, in the image
	mode    fs.FileMode
	written string // the instruction, as history has it
}

// shipped is what the second stage says.
type shipped struct {
	files      []file
	user       string
	entrypoint []string
	labels     map[string]string
}

// ship reads the second stage.
func (r *Recipe) ship(args Args) (*shipped, error) {
	s := &shipped{labels: map[string]string{}}
	declared := map[string]bool{}
	for n, i := range r.Ship {
		var err error
		switch {
		case n == 0 && i.Args == "scratch":
		case i.Name == "COPY":
			err = s.copy(i, r.workdir())
		case i.Name == "USER":
			s.user = i.Args
		case i.Name == "ENTRYPOINT":
			err = json.Unmarshal([]byte(i.Args), &s.entrypoint)
		case i.Name == "ARG":
			declared[i.Args] = true
		case i.Name == "LABEL":
			err = s.label(i, args, declared)
		default:
			err = unknown(i)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

var copies = regexp.MustCompile(`^--chmod=(0[0-7]{3}) (--from=build )?(\S+) (/\S*[^/\s])$`)

func (s *shipped) copy(i Instruction, workdir string) error {
	m := copies.FindStringSubmatch(i.Args)
	if m == nil {
		return unknown(i)
	}
	mode, err := strconv.ParseUint(m[1], 8, 32)
	if err != nil {
		return err
	}
	f := file{from: m[3], built: m[2] != "", to: m[4], mode: fs.FileMode(mode), written: i.Name + " " + i.Args}
	if f.built {
		if f.from, err = filepath.Rel(workdir, f.from); err != nil {
			return err
		}
	}
	s.files = append(s.files, f)
	return nil
}

var (
	pair     = regexp.MustCompile(`([a-z.]+)="([^"\\]*)"`)
	variable = regexp.MustCompile(`\$\{?\w+\}?`)
)

// label reads key="value" with variables that ARG has declared.
func (s *shipped) label(i Instruction, args Args, declared map[string]bool) error {
	if strings.TrimSpace(pair.ReplaceAllString(i.Args, "")) != "" {
		return unknown(i)
	}
	values := args.values()
	for _, m := range pair.FindAllStringSubmatch(i.Args, -1) {
		var missing error
		s.labels[m[1]] = variable.ReplaceAllStringFunc(m[2], func(reference string) string {
			name := strings.Trim(reference, "${}")
			value, known := values[name]
			if !known || !declared[name] {
				missing = fmt.Errorf("the Dockerfile: LABEL %s: expected ARG %s before it, and a value, found none", m[1], name)
			}
			return value
		})
		if missing != nil {
			return missing
		}
	}
	return nil
}
