package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// cell is a text in a table, and how it is coloured.
type cell struct {
	text  string
	style style
}

// table is printed as far as it is filled, and may go on: columns only grow.
type table struct {
	widths []int
	lines  []tableLine
}

// tableLine is a row, or a text that stands below one.
type tableLine struct {
	cells []cell
	below string
}

func newTable(header ...string) *table {
	t := &table{}
	cells := make([]cell, 0, len(header))
	for _, h := range header {
		cells = append(cells, cell{h, faint})
	}
	t.add(cells...)
	return t
}

// add adds a row.
func (b *table) add(cells ...cell) {
	for i := range cells {
		if cells[i].text = clean(cells[i].text); cells[i].text == "" {
			cells[i].text = "-"
		}
		if i == len(b.widths) {
			b.widths = append(b.widths, 0)
		}
		b.widths[i] = max(b.widths[i], utf8.RuneCountInString(cells[i].text))
	}
	b.lines = append(b.lines, tableLine{cells: cells})
}

// addBelow adds lines below the last row.
func (b *table) addBelow(lines ...string) {
	for _, l := range lines {
		b.lines = append(b.lines, tableLine{below: "  " + l})
	}
}

// print prints the rows that were not printed yet.
func (b *table) print(t *terminal) {
	for _, l := range b.lines {
		if l.cells == nil {
			fmt.Fprintln(t.out, l.below)
			continue
		}
		var line strings.Builder
		for i, c := range l.cells {
			padding := ""
			if i < len(l.cells)-1 {
				padding = strings.Repeat(" ", b.widths[i]-utf8.RuneCountInString(c.text)+2)
			}
			text := c.text
			if c.style != "" {
				text = t.paint(c.style, text)
			}
			line.WriteString(text + padding)
		}
		fmt.Fprintln(t.out, line.String())
	}
	b.lines = nil
}
