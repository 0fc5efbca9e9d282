using System.Globalization;
using System.Xml.Linq;
using ZeroFlow.Perf.Plots;

namespace ZeroFlow.Perf.Tests.Plots;

/// <summary>A picture, read back as whoever shows it would.</summary>
internal sealed class SvgPicture
{
    private const string Space = "{http://www.w3.org/2000/svg}";

    private readonly XElement _root;

    public SvgPicture(PlotFile plot)
    {
        _root = XDocument.Parse(plot.Svg).Root!;
        Assert.Equal(Space + "svg", _root.Name.ToString());
    }

    public IEnumerable<XElement> Elements => _root.Descendants();

    public double Width => Number(_root, "width");

    public string Title => _root.Element(Space + "title")!.Value;

    public string Description => _root.Element(Space + "desc")!.Value;

    public string Style => _root.Element(Space + "style")!.Value;

    public string[] Texts => [.. Of("text").Select(static text => text.Value)];

    public IEnumerable<XElement> Of(string name) => _root.Descendants(Space + name);

    /// <summary>The marks of a kind that say what they show, by what they say before the colon.</summary>
    public XElement Marked(string name, string begins) =>
        Assert.Single(Of(name), mark => mark.Element(Space + "title")?.Value.StartsWith(begins, StringComparison.Ordinal) == true);

    /// <summary>Where the axis has a figure: the place of the line whose label this is.</summary>
    public double Tick(string label) => Number(Of("text").First(text => text.Value == label), "x");

    public static double Number(XElement element, string name) =>
        double.Parse(element.Attribute(name)!.Value, CultureInfo.InvariantCulture);
}
