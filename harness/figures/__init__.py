"""Figures for cards and reports: SVG text in one style, with a text alternative.

A figure function takes plain records, a title (what is shown, of which model) and a note (what a reader must know: benchmark,
images, how intervals are made), and returns SVG; it raises ValueError where there is nothing to draw. The same records give
the same bytes (with one version of matplotlib). Text stays text, so it can be searched, copied and read aloud. Colours are
those of Okabe and Ito, which people with any colour vision can tell apart, and never carry a meaning alone: a shape or a
hatching goes with each, so that a black-and-white print is enough. The ground is white, whatever the page's.

matplotlib is imported when a figure is drawn, not before, and its pyplot is never used. Given up: its settings are changed
for the time of drawing, so two figures can't be drawn in two threads at once.
"""
