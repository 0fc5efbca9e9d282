using System.Text;

namespace ZeroFlow.Architecture.Tests;

/// <summary>Blanks out comments, strings and characters, so that braces and words in what is left are code.</summary>
internal sealed class CSharpText
{
    private readonly string _text;
    private readonly StringBuilder _code;
    private int _at;

    private CSharpText(string text)
    {
        _text = text;
        _code = new StringBuilder(text);
    }

    /// <summary>The code alone; every line keeps its number and every character its column.</summary>
    public static string CodeOf(string text)
    {
        var scan = new CSharpText(text);
        while (scan._at < text.Length) scan.Step();
        return scan._code.ToString();
    }

    private bool Ahead(string what) => string.CompareOrdinal(_text, _at, what, 0, what.Length) == 0;

    private char Peek(int ahead = 0) => _at + ahead < _text.Length ? _text[_at + ahead] : '\0';

    private void Blank(int count)
    {
        for (var end = Math.Min(_at + count, _text.Length); _at < end; _at++)
        {
            if (_text[_at] != '\n') _code[_at] = ' ';
        }
    }

    private void BlankThrough(string terminator)
    {
        var end = _text.IndexOf(terminator, _at, StringComparison.Ordinal);
        Blank((end < 0 ? _text.Length : end + terminator.Length) - _at);
    }

    private void Step()
    {
        if (Ahead("//"))
        {
            var end = _text.IndexOf('\n', _at);
            Blank((end < 0 ? _text.Length : end) - _at);
        }
        else if (Ahead("/*"))
        {
            BlankThrough("*/");
        }
        else if (Peek() == '\'')
        {
            Blank(Peek(1) == '\\' ? 3 : 2);
            BlankThrough("'");
        }
        else if (!TryString())
        {
            _at++;
        }
    }

    private bool TryString()
    {
        var dollars = 0;
        var verbatim = false;
        var length = 0;
        for (; Peek(length) is '$' or '@'; length++)
        {
            if (Peek(length) == '$') dollars++;
            else verbatim = true;
        }

        if (Peek(length) != '"') return false;
        var quotes = 0;
        while (Peek(length + quotes) == '"') quotes++;
        if (quotes >= 3 && !verbatim)
        {
            Blank(length + quotes);
            BlankThrough(new string('"', quotes));
        }
        else
        {
            Blank(length + 1);
            Body(verbatim, interpolated: dollars > 0);
        }

        return true;
    }

    private void Body(bool verbatim, bool interpolated)
    {
        while (_at < _text.Length)
        {
            if (verbatim && Ahead("\"\"")) Blank(2);
            else if (!verbatim && Peek() == '\\') Blank(2);
            else if (interpolated && (Ahead("{{") || Ahead("}}"))) Blank(2);
            else if (interpolated && Peek() == '{') Hole();
            else if (Peek() == '"')
            {
                Blank(1);
                return;
            }
            else Blank(1);
        }
    }

    // A hole holds code, which may hold strings again; its braces are not braces of the code around it.
    private void Hole()
    {
        var depth = 0;
        do
        {
            var before = _at;
            var c = Peek();
            if (c == '{') depth++;
            if (c == '}') depth--;
            if (c is '{' or '}') Blank(1);
            else Step();
            for (var i = before; i < _at; i++)
            {
                if (_code[i] is '{' or '}' or ';') _code[i] = ' ';
            }
        }
        while (depth > 0 && _at < _text.Length);
    }
}
