using System.Text;

namespace ZeroFlow.Host.Commands.Top;

/// <summary>How a piece of text looks; the terminal's own colours, so that it fits to light and dark ones.</summary>
internal enum TopStyle
{
    /// <summary>As the terminal writes.</summary>
    Plain,

    /// <summary>Of less importance.</summary>
    Dim,

    /// <summary>Of more importance.</summary>
    Bold,

    /// <summary>All is well; what is written.</summary>
    Good,

    /// <summary>Worth a look.</summary>
    Warning,

    /// <summary>Wrong.</summary>
    Critical,

    /// <summary>The way of writes.</summary>
    Write,

    /// <summary>The way of reads.</summary>
    Read,
}

/// <summary>A line of the screen, built from left to right, never wider than it may be. Not thread-safe.</summary>
internal sealed class TopLine(int width)
{
    private readonly List<(string Text, TopStyle Style)> _parts = [];
    private int _used;

    /// <summary>Columns that are left.</summary>
    public int Left => width - _used;

    /// <summary>Adds a text as far as there is room; control characters show as '?'.</summary>
    public TopLine Add(string text, TopStyle style = TopStyle.Plain)
    {
        string clipped = Clip(text, Left);
        if (clipped.Length == 0) return this;
        _parts.Add((clipped, style));
        _used += WidthOf(clipped);
        return this;
    }

    /// <summary>Adds a text in a column of its own, which ends with a blank: left-aligned, or right-aligned.</summary>
    public TopLine Cell(string text, int columns, TopStyle style = TopStyle.Plain, bool isRight = false)
    {
        string clipped = Clip(text, columns - 1);
        string blanks = new(' ', columns - 1 - WidthOf(clipped));
        return isRight ? Add(blanks).Add(clipped, style).Add(" ") : Add(clipped, style).Add(blanks).Add(" ");
    }

    /// <summary>Adds a text so that it ends at the right edge, if there is room.</summary>
    public TopLine AtEnd(string text, TopStyle style = TopStyle.Plain)
    {
        int blanks = Left - WidthOf(text);
        return blanks < 1 ? this : Add(new string(' ', blanks)).Add(text, style);
    }

    /// <summary>The line as it is written, with colours or without, without blanks at its end.</summary>
    public string ToText(bool hasColour)
    {
        if (!hasColour) return string.Concat(_parts.Select(static part => part.Text)).TrimEnd();
        var text = new StringBuilder();
        foreach (var (part, style) in _parts)
        {
            if (style == TopStyle.Plain) text.Append(part);
            else text.Append("\e[").Append(CodeOf(style)).Append('m').Append(part).Append("\e[0m");
        }

        return text.ToString();
    }

    /// <summary>The columns that a text takes.</summary>
    public static int WidthOf(string text)
    {
        int columns = 0;
        foreach (Rune rune in text.EnumerateRunes()) columns += WidthOf(rune);
        return columns;
    }

    private static string Clip(string text, int columns)
    {
        var kept = new StringBuilder();
        int used = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            Rune shown = Rune.IsControl(rune) || rune.Value is >= 0x200B and <= 0x202E or >= 0x2060 and <= 0x206F ? new Rune('?') : rune;
            used += WidthOf(shown);
            if (used > columns) break;
            kept.Append(shown);
        }

        return kept.ToString();
    }

    // East Asian wide characters and pictures take two columns; what is joined to its neighbour takes none.
    private static int WidthOf(Rune rune)
    {
        if (Rune.GetUnicodeCategory(rune) is System.Globalization.UnicodeCategory.NonSpacingMark or System.Globalization.UnicodeCategory.EnclosingMark) return 0;
        return rune.Value switch
        {
            >= 0x1100 and <= 0x115F or >= 0x2E80 and <= 0xA4CF or >= 0xAC00 and <= 0xD7A3 or >= 0xF900 and <= 0xFAFF
                or >= 0xFE30 and <= 0xFE6F or >= 0xFF00 and <= 0xFF60 or >= 0xFFE0 and <= 0xFFE6 or >= 0x1F300 and <= 0x1FAFF
                or >= 0x20000 and <= 0x3FFFD => 2,
            _ => 1,
        };
    }

    private static string CodeOf(TopStyle style) => style switch
    {
        TopStyle.Dim => "2",
        TopStyle.Bold => "1",
        TopStyle.Good => "32",
        TopStyle.Warning => "33",
        TopStyle.Critical => "1;31",
        TopStyle.Write => "36",
        TopStyle.Read => "35",
        _ => "0",
    };
}
