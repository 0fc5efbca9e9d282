using System.Globalization;
using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace ZeroFlow.Perf.Plots;

/// <summary>What a line of text is.</summary>
internal enum TextStyle
{
    Title,
    Heading,
    Label,
    Note,
}

/// <summary>
/// A picture being drawn, as SVG that stands by itself: no script, no asset from elsewhere, its text is text, and it is
/// readable on light and on dark ground. Units are CSS pixels.
/// </summary>
internal sealed class SvgCanvas
{
    // Mean width of a character of the fonts that may be there, as a share of the font's size; on the large side.
    private const double CharacterWidth = 0.6;

    // Colours are written out, twice: not every program that shows SVG knows variables.
    private const string Rules =
        "text{font:12px system-ui,'Segoe UI',Helvetica,Arial,sans-serif}.title{font-size:17px;font-weight:600}" +
        ".heading{font-weight:600}.note{font-size:11px}.ink{stroke-width:1.3}.mark{stroke-width:.8}.range{opacity:.45}";

    private const string Light =
        ".ground{fill:#fff}text{fill:#1f2328}.note{fill:#59636e}.rule{stroke:#d1d9e0}.faint{stroke:#59636e}" +
        ".ink,.mark{stroke:#1f2328}";

    private const string Dark =
        ".ground{fill:#0d1117}text{fill:#f0f6fc}.note{fill:#9198a1}.rule{stroke:#3d444d}.faint{stroke:#9198a1}" +
        ".ink,.mark{stroke:#f0f6fc}";

    private static readonly XNamespace Svg = "http://www.w3.org/2000/svg";

    private readonly XElement _root;

    public SvgCanvas(double width, double height, string title, string description)
    {
        _root = new XElement(
            Svg + "svg",
            new XAttribute("width", Text(width)), new XAttribute("height", Text(height)),
            new XAttribute("viewBox", $"0 0 {Text(width)} {Text(height)}"),
            new XAttribute("role", "img"), new XAttribute("aria-labelledby", "title desc"),
            new XElement(Svg + "title", new XAttribute("id", "title"), Clean(title)),
            new XElement(Svg + "desc", new XAttribute("id", "desc"), Clean(description)),
            new XElement(
                Svg + "style", Rules + PlotColors.Rules() + Light + $"@media(prefers-color-scheme:dark){{{Dark}}}"));
        _root.Add(Shape("rect", "ground", ("width", width), ("height", height)));
    }

    public void Rectangle(string styles, double x, double y, double width, double height, string? hint = null) =>
        Add(Shape("rect", styles, ("x", x), ("y", y), ("width", width), ("height", height)), hint);

    public void Line(string styles, double x1, double y1, double x2, double y2) =>
        Add(Shape("line", styles, ("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2)), hint: null);

    public void Circle(string styles, double x, double y, double radius, string? hint = null) =>
        Add(Shape("circle", styles, ("cx", x), ("cy", y), ("r", radius)), hint);

    /// <summary>A square on its corner.</summary>
    public void Diamond(string styles, double x, double y, double radius, string? hint = null)
    {
        var path = $"M{Text(x - radius)} {Text(y)}L{Text(x)} {Text(y - radius)}L{Text(x + radius)} {Text(y)}L{Text(x)} {Text(y + radius)}Z";
        Add(new XElement(Svg + "path", new XAttribute("class", styles), new XAttribute("d", path)), hint);
    }

    /// <summary>A line of text by its base line. One that would be wider than <paramref name="widthMax"/> is cut.</summary>
    public void Write(
        string text, double x, double y, TextStyle style = TextStyle.Label, string anchor = "start",
        double widthMax = double.PositiveInfinity)
    {
        var shown = Cut(Clean(text), style, widthMax);
        var element = new XElement(
            Svg + "text", new XAttribute("x", Text(x)), new XAttribute("y", Text(y)),
            new XAttribute("class", style.ToString().ToLowerInvariant()));
        if (anchor != "start") element.Add(new XAttribute("text-anchor", anchor));
        element.Add(shown);
        _root.Add(element);
    }

    /// <summary>About how wide a text is; nobody knows the font.</summary>
    public static double WidthOf(string text, TextStyle style = TextStyle.Label) => text.Length * CharacterWidth * SizeOf(style);

    public override string ToString() => _root + "\n";

    private void Add(XElement element, string? hint)
    {
        if (hint is not null) element.Add(new XElement(Svg + "title", Clean(hint)));
        _root.Add(element);
    }

    private static XElement Shape(string name, string styles, params (string Name, double Value)[] numbers) => new(
        Svg + name, new XAttribute("class", styles), numbers.Select(number => new XAttribute(number.Name, Text(number.Value))));

    private static string Cut(string text, TextStyle style, double widthMax)
    {
        var fitting = double.IsInfinity(widthMax) ? text.Length : (int)(widthMax / WidthOf("x", style));
        return text.Length <= fitting ? text : text[..Math.Max(0, fitting - 1)] + "\u2026";
    }

    private static double SizeOf(TextStyle style) => style switch
    {
        TextStyle.Title => 17,
        TextStyle.Note => 11,
        _ => 12,
    };

    // XML has no way to write most control characters, nor half a surrogate pair.
    private static string Clean(string text)
    {
        var clean = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            var isAllowed = !rune.IsBmp || XmlConvert.IsXmlChar((char)rune.Value);
            clean.Append(isAllowed ? rune.ToString() : "\ufffd");
        }

        return clean.ToString();
    }

    private static string Text(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);
}
