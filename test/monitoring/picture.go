package monitoring

import (
	"cmp"
	"fmt"
	"html"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	column, line = 50, 30 // Grafana's grid, in pixels
	gap          = 4
	titleHeight  = 24
	textSize     = 11
	// letter is about as wide as one is.
	letter = 6.1
)

// palette is for series, colours for what has a meaning.
var (
	palette = []string{"#3871dc", "#e0752d", "#37872d", "#a352cc", "#c4162a", "#e0b400", "#1f9d9d", "#8f6b4f", "#6d7785", "#d75f9f"}
	colours = map[string]string{"green": "#37872d", "red": "#c4162a", "orange": "#e0752d", "blue": "#3871dc", "purple": "#a352cc", "text": "#3d434b"}
)

// drawing is a picture that grows.
type drawing struct {
	strings.Builder
	values   map[string]string
	from, to time.Time
}

// Draw draws a dashboard with what its queries answered, as an SVG. It is no
// copy of Grafana, but shows what each panel would.
func Draw(d Dashboard, answers map[int][][]Result, values map[string]string, from, to time.Time) string {
	height := 0
	for _, p := range d.Panels {
		height = max(height, (p.GridPos.Y+p.GridPos.H)*line)
	}
	g := &drawing{values: values, from: from, to: to}
	fmt.Fprintf(g, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="Helvetica, Arial, sans-serif" font-size="%d">`+"\n", 24*column, height, textSize)
	fmt.Fprintf(g, `<rect width="100%%" height="100%%" fill="#f4f5f5"/>`+"\n")
	for _, p := range d.Panels {
		g.panel(p, answers[p.ID])
	}
	g.WriteString("</svg>\n")
	return g.String()
}

func (g *drawing) panel(p Panel, answers [][]Result) {
	box := area{x: float64(p.GridPos.X * column), y: float64(p.GridPos.Y * line), w: float64(p.GridPos.W * column), h: float64(p.GridPos.H * line)}
	if p.Type == "row" {
		g.text(box.x+10, box.y+20, "start", "#3d434b", `font-size="14" font-weight="bold"`, Substitute(p.Title, g.values))
		return
	}
	box = box.inside(gap)
	fmt.Fprintf(g, `<rect x="%g" y="%g" width="%g" height="%g" rx="3" fill="#fff" stroke="#dcdee1"/>`+"\n", box.x, box.y, box.w, box.h)
	g.text(box.x+8, box.y+16, "start", "#3d434b", `font-weight="bold"`, p.Title)
	box = area{x: box.x + 8, y: box.y + titleHeight, w: box.w - 16, h: box.h - titleHeight - 6}
	switch p.Type {
	case "stat":
		g.stat(p, box, answers)
	case "table":
		g.table(p, box, answers[0])
	case "state-timeline":
		g.timeline(p, box, answers[0])
	default:
		g.lines(p, box, answers)
	}
}

type area struct{ x, y, w, h float64 }

func (a area) inside(by float64) area {
	return area{x: a.x + by, y: a.y + by, w: a.w - 2*by, h: a.h - 2*by}
}

func (g *drawing) text(x, y float64, anchor, colour, more, text string) {
	fmt.Fprintf(g, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s" %s>%s</text>`+"\n", x, y, anchor, colour, more, html.EscapeString(text))
}

func (g *drawing) stat(p Panel, box area, answers [][]Result) {
	result := answers[0][0]
	value := result.Samples[len(result.Samples)-1].Value
	text, colour := format(value, p.FieldConfig.Defaults.Unit), "text"
	for _, step := range p.FieldConfig.Defaults.Thresholds.Steps {
		if step.Value == nil || value >= *step.Value {
			colour = step.Color
		}
	}
	if p.Options.TextMode == "name" {
		text = legend(p.Targets[0], result)
	}
	size := min(30, box.w/(float64(len(text))*0.58))
	g.text(box.x+box.w/2, box.y+box.h/2+size/3, "middle", colours[colour], fmt.Sprintf(`font-size="%.0f"`, size), text)
}

// table shows the labels of each series, in the order and with the names of the
// panel.
func (g *drawing) table(p Panel, box area, results []Result) {
	organize := p.Transformations[0].Options
	columns := slices.SortedFunc(maps.Keys(organize.IndexByName), func(a, b string) int {
		return cmp.Compare(organize.IndexByName[a], organize.IndexByName[b])
	})
	cell := func(r Result, name string) string {
		if name == "Value" {
			return format(r.Samples[len(r.Samples)-1].Value, override(p))
		}
		return shortDigest(r.Labels[name])
	}
	widths := make([]float64, len(columns))
	total := 0.0
	for i, name := range columns {
		widths[i] = float64(len(name))
		for _, r := range results {
			widths[i] = max(widths[i], float64(len(cell(r, name))))
		}
		total += widths[i] + 2
	}
	const high = 17
	shown := min(len(results), int(box.h/high)-1)
	x := box.x
	for i, name := range columns {
		g.text(x, box.y+12, "start", "#6d7785", "", cmp.Or(organize.RenameByName[name], name))
		for row, r := range results[:shown] {
			g.text(x, box.y+12+float64(high*(row+1)), "start", "#3d434b", "", cell(r, name))
		}
		x += (widths[i] + 2) / total * box.w
	}
	fmt.Fprintf(g, `<path d="M%.1f %.1fh%.1f" stroke="#dcdee1"/>`+"\n", box.x, box.y+17, box.w)
}

func override(p Panel) string {
	for _, o := range p.FieldConfig.Overrides {
		for _, property := range o.Properties {
			if unit, ok := property.Value.(string); ok && property.ID == "unit" {
				return unit
			}
		}
	}
	return p.FieldConfig.Defaults.Unit
}

// timeline draws a bar a series, in the colours of the mappings.
func (g *drawing) timeline(p Panel, box area, results []Result) {
	mappings := p.FieldConfig.Defaults.Mappings[0].Options
	high := min(box.h/float64(len(results)), 28)
	names := 0.0
	for _, r := range results {
		names = max(names, float64(len(legend(p.Targets[0], r)))*letter+8)
	}
	for i, r := range results {
		y := box.y + float64(i)*high
		g.text(box.x, y+high/2+4, "start", "#3d434b", "", legend(p.Targets[0], r))
		bars := area{x: box.x + names, y: y + 2, w: box.w - names, h: high - 4}
		for from := 0; from < len(r.Samples); {
			to := from
			for to+1 < len(r.Samples) && r.Samples[to+1].Value == r.Samples[from].Value && r.Samples[to+1].Time-r.Samples[to].Time < 5 {
				to++
			}
			left, right := g.at(r.Samples[from].Time, bars), g.at(r.Samples[to].Time+1, bars)
			m := mappings[strconv.FormatFloat(r.Samples[from].Value, 'g', -1, 64)]
			fmt.Fprintf(g, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" fill-opacity="0.8"/>`+"\n", left, bars.y, max(1, right-left), bars.h, colours[m.Color])
			if right-left > float64(len(m.Text))*letter {
				g.text(left+4, y+high/2+4, "start", "#fff", "", m.Text)
			}
			from = to + 1
		}
	}
}

// at is where a time is.
func (g *drawing) at(seconds float64, box area) float64 {
	from, to := float64(g.from.UnixMilli())/1000, float64(g.to.UnixMilli())/1000
	return box.x + max(0, min(1, (seconds-from)/(to-from)))*box.w
}

// legend names a series as the panel's legend does.
func legend(t Target, r Result) string {
	if t.LegendFormat != "__auto" {
		text := t.LegendFormat
		for name, value := range r.Labels {
			text = strings.ReplaceAll(text, "{{"+name+"}}", value)
		}
		return text
	}
	return strings.Join(slices.Sorted(maps.Values(r.Labels)), " ")
}

// shortDigest leaves out what nobody reads of a digest.
func shortDigest(text string) string {
	before, digest, ok := strings.Cut(text, "@sha256:")
	if !ok || len(digest) < 8 {
		return text
	}
	return before + "@" + digest[:8] + "…"
}
