package pack_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/internal/pack"
)

func TestTimoniIgnore(t *testing.T) {
	files := map[string]string{
		"timoni.cue": "", "values.cue": "", "debug_values.cue": "", "x_tool.cue": "",
		"scratch/a.cue": "", "scratch/keep.cue": "", "templates/debug_values.cue": "", "templates/cue.mod/x.cue": "",
		"cue.mod/module.cue": "", "cue.mod/gen/debug_values.cue": "",
	}
	tests := map[string]struct {
		ignore string
		want   []string
	}{
		"nothing": {"", []string{".", "debug_values.cue", "scratch", "scratch/a.cue", "scratch/keep.cue", "templates", "templates/debug_values.cue", "timoni.cue", "timoni.ignore", "values.cue", "x_tool.cue"}},
		"names, folders, comments": {"# a comment\n\ndebug_values.cue\n*_tool.cue\nscratch/\n",
			[]string{".", "templates", "timoni.cue", "timoni.ignore", "values.cue"}},
		"from the root only": {"/debug_values.cue\nscratch\n*_tool.cue", []string{".", "templates", "templates/debug_values.cue", "timoni.cue", "timoni.ignore", "values.cue"}},
		// Git would leave it out, Timoni does not.
		"brought back from a folder": {"scratch/\n!scratch/keep.cue\n*_tool.cue\ndebug_values.cue\n",
			[]string{".", "scratch/keep.cue", "templates", "timoni.cue", "timoni.ignore", "values.cue"}},
		"itself": {"timoni.ignore\n/*_*\nscratch", []string{".", "templates", "templates/debug_values.cue", "timoni.cue", "values.cue"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			files["timoni.ignore"] = tt.ignore
			packed := mustPack(t, pack.Options{Dir: folder(t, files), Type: pack.Timoni})
			wantNames(t, packed, 0, ".", "cue.mod", "cue.mod/gen", "cue.mod/gen/debug_values.cue", "cue.mod/module.cue")
			wantNames(t, packed, 1, tt.want...)
		})
	}
}

func TestSourceIgnore(t *testing.T) {
	files := map[string]string{"a.yaml": "", "b.yaml": "", "logo.png": "", "docs/logo.png": "", ".sourceignore": "b.yaml\n!docs/logo.png\n"}
	packed := mustPack(t, pack.Options{Dir: folder(t, files), Type: pack.Flux})
	wantNames(t, packed, 0, ".", ".sourceignore", "a.yaml", "docs", "docs/logo.png")
}

func TestIgnoreOfLongLines(t *testing.T) {
	_, err := pack.Pack(t.Context(), pack.Options{Dir: module(t, map[string]string{"timoni.ignore": strings.Repeat("x", 1<<17)}), Type: pack.Timoni, Version: "1.0.0"})
	if err == nil || !strings.Contains(err.Error(), "timoni.ignore") {
		t.Errorf("expected an error that names timoni.ignore, found %v", err)
	}
}

func TestContentsAreThoseOfTheFiles(t *testing.T) {
	packed := mustPack(t, pack.Options{Dir: module(t, map[string]string{"templates/a.cue": "a", "empty.cue": ""}), Type: pack.Timoni})
	_, found := entries(t, layers(t, packed.Image)[1])
	for name, want := range map[string]string{"templates/a.cue": "a", "empty.cue": ""} {
		if diff := cmp.Diff(want, found[name]); diff != "" {
			t.Errorf("%s (-expected +found):\n%s", name, diff)
		}
	}
}
