package monitoring

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
)

// pointsDrawn is how many points of a series are drawn at most.
const pointsDrawn = 120

// lines draws series over time.
func (g *drawing) lines(p Panel, box area, answers [][]Result) {
	type named struct {
		name string
		Result
	}
	var all []named
	for i, results := range answers {
		for _, r := range results {
			if len(r.Samples) > 0 {
				all = append(all, named{legend(p.Targets[i], r), r})
			}
		}
	}
	most := 0.0
	for _, r := range all {
		for _, s := range r.Samples {
			most = max(most, s.Value)
		}
	}
	step, steps := axis(most, p.FieldConfig.Defaults.Unit)
	most = step * float64(steps)
	names, strokes := make([]string, 0, len(all)), make([]string, 0, len(all))
	for i, r := range all {
		names = append(names, r.name)
		strokes = append(strokes, colourOf(p, r.name, i))
	}
	plot := area{x: box.x + 48, y: box.y + 4, w: box.w - 56, h: box.h - 22 - g.legends(box, names, strokes)}
	for i := range steps + 1 {
		value := step * float64(i)
		y := plot.y + plot.h*(1-float64(i)/float64(steps))
		fmt.Fprintf(g, `<path d="M%.1f %.1fh%.1f" stroke="#e9ebed"/>`+"\n", plot.x, y, plot.w)
		g.text(plot.x-5, y+4, "end", "#6d7785", `font-size="10"`, format(value, p.FieldConfig.Defaults.Unit))
	}
	for i := range 3 {
		at := g.from.Add(g.to.Sub(g.from) * time.Duration(i) / 2)
		ago := g.to.Sub(at).Round(time.Second)
		text := "-" + ago.String()
		if ago == 0 {
			text = "now"
		}
		g.text(g.at(float64(at.Unix()), plot), plot.y+plot.h+13, [3]string{"start", "middle", "end"}[i], "#6d7785", `font-size="10"`, text)
	}
	for i, r := range all {
		fmt.Fprintf(g, `<path d="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", g.path(r.Samples, plot, most), strokes[i])
	}
}

// path is a series; where samples are missing, it is interrupted.
func (g *drawing) path(samples []Sample, plot area, most float64) string {
	var d strings.Builder
	every := 1 + len(samples)/pointsDrawn
	last := math.Inf(-1)
	for i := 0; i < len(samples); i += every {
		s := samples[i]
		verb := "L"
		if s.Time-last > 2*float64(every)+1 {
			verb = "M"
		}
		last = s.Time
		fmt.Fprintf(&d, "%s%.1f %.1f", verb, g.at(s.Time, plot), plot.y+plot.h*(1-s.Value/most))
	}
	return d.String()
}

// legends writes the names of the series below, and says how high that is.
func (g *drawing) legends(box area, names, strokes []string) float64 {
	const high = 14
	type place struct {
		x   float64
		row int
	}
	places := make([]place, len(names))
	x, row := box.x, 0
	for i, name := range names {
		width := float64(len(name))*5.6 + 22
		if x+width > box.x+box.w && x > box.x {
			x, row = box.x, row+1
		}
		places[i] = place{x, row}
		x += width
	}
	total := float64(high * (row + 1))
	for i, name := range names {
		y := box.y + box.h - total + float64(high*places[i].row) + 10
		fmt.Fprintf(g, `<rect x="%.1f" y="%.1f" width="10" height="3" fill="%s"/>`+"\n", places[i].x, y-5, strokes[i])
		g.text(places[i].x+14, y, "start", "#3d434b", `font-size="10"`, name)
	}
	return total
}

// colourOf is the colour of a series: what the panel says of its name, or that
// of its place.
func colourOf(p Panel, name string, place int) string {
	for _, o := range p.FieldConfig.Overrides {
		matches := o.Matcher.ID == "byName" && o.Matcher.Options == name
		if o.Matcher.ID == "byRegexp" {
			matches = regexp.MustCompile(strings.Trim(o.Matcher.Options, "/")).MatchString(name)
		}
		for _, property := range o.Properties {
			if value, ok := property.Value.(map[string]any); ok && matches && property.ID == "color" {
				return colours[fmt.Sprint(value["fixedColor"])]
			}
		}
	}
	return palette[place%len(palette)]
}

// axis divides an axis into two to four steps of a round number, the last of
// which is at least most.
func axis(most float64, unit string) (step float64, steps int) {
	if most <= 0 {
		return 1, 1
	}
	scale := 1.0
	switch {
	case unit == "bytes" || unit == "Bps":
		for most/scale >= 1024 {
			scale *= 1024
		}
	case unit == "s" && most >= 7200:
		scale = 3600
	case unit == "s" && most >= 120:
		scale = 60
	}
	size := math.Pow(10, math.Floor(math.Log10(most/scale))-1)
	for _, round := range []float64{2.5, 5, 10, 20, 25, 50} {
		step = round * size * scale
		// A number that is computed may be a hair above what it is.
		if steps = int(math.Ceil(most/step - 1e-9)); steps <= 4 {
			break
		}
	}
	return step, steps
}

// format writes a value in a unit as Grafana does, nearly.
func format(value float64, unit string) string {
	switch unit {
	case "s":
		return duration(value)
	case "bytes", "Bps":
		suffix := map[string]string{"bytes": "B", "Bps": "B/s"}[unit]
		for _, size := range []struct {
			of   float64
			name string
		}{{1 << 30, "Gi"}, {1 << 20, "Mi"}, {1 << 10, "Ki"}} {
			if value >= size.of {
				return short(value/size.of) + " " + size.name + suffix
			}
		}
		return short(value) + " " + suffix
	case "percentunit":
		return short(100*value) + "%"
	case "reqps", "ops":
		return short(value) + "/s"
	}
	return short(value)
}

func short(value float64) string {
	switch {
	case value == math.Trunc(value):
		return fmt.Sprintf("%.0f", value)
	case math.Abs(value) >= 100:
		return fmt.Sprintf("%.0f", value)
	case math.Abs(value) >= 1:
		return fmt.Sprintf("%.1f", value)
	}
	return fmt.Sprintf("%.2g", value)
}

func duration(seconds float64) string {
	switch {
	case seconds == 0:
		return "0"
	case seconds < 1:
		return short(1000*seconds) + " ms"
	case seconds < 120:
		return short(seconds) + " s"
	case seconds < 7200:
		return short(seconds/60) + " min"
	}
	return short(seconds/3600) + " h"
}
