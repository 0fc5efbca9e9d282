using System.Text.RegularExpressions;

namespace ZeroFlow.Architecture.Tests;

/// <summary>A method, constructor, operator or property, by its lines.</summary>
internal readonly record struct MemberSpan(string Header, int FirstLine, int LastLine)
{
    public int Lines => LastLine - FirstLine + 1;
}

/// <summary>
/// Finds the members of types by matching braces. Knows no more of C# than that: attributes, fields and nested types
/// are told from methods by the shape of the text in front of their braces.
/// </summary>
internal static partial class CSharpMembers
{
    public static IReadOnlyList<MemberSpan> Of(string text)
    {
        var code = CSharpText.CodeOf(text);
        var members = new List<MemberSpan>();
        Declarations(code, 0, code.Length, inType: false, members);
        return members;
    }

    public static IEnumerable<string> TypeNames(string text) =>
        TypeDeclaration().Matches(CSharpText.CodeOf(text)).Select(m => m.Groups["name"].Value);

    private static void Declarations(string code, int start, int end, bool inType, List<MemberSpan> members)
    {
        var first = start;
        while ((first = SkipToDeclaration(code, first, end)) < end)
        {
            var (body, last) = Extent(code, first, end);
            var header = code[first..Math.Min(body, last)];
            var nesting = Nesting().Match(Parenthesised().Replace(header, " "));
            if (nesting.Success)
            {
                var kind = nesting.Value;
                if (kind != "enum" && body < last) Declarations(code, body + 1, last - 1, kind != "namespace", members);
            }
            else if (inType && !IsField(header))
            {
                members.Add(new MemberSpan(OneLine(header), LineOf(code, first), LineOf(code, last - 1)));
            }

            first = last;
        }
    }

    private static int SkipToDeclaration(string code, int at, int end)
    {
        while (at < end)
        {
            if (char.IsWhiteSpace(code[at]) || code[at] is ';' or '}')
            {
                at++;
            }
            else if (code[at] == '#')
            {
                var line = code.IndexOf('\n', at);
                at = line < 0 ? end : line;
            }
            else if (code[at] == '[')
            {
                at = Matching(code, at, end) + 1;
            }
            else
            {
                return at;
            }
        }

        return end;
    }

    // Where the first brace of the declaration stands (or its end, if it has none), and the place after its end.
    private static (int Body, int End) Extent(string code, int first, int end)
    {
        var body = -1;
        var expression = false;
        for (var at = first; at < end; at++)
        {
            switch (code[at])
            {
                case '(' or '[':
                    at = Matching(code, at, end);
                    break;
                case '=' when body < 0 && !Operator().IsMatch(code[first..at]):
                    expression = true;
                    break;
                case ';':
                    return (body < 0 ? at + 1 : body, at + 1);
                case '{':
                    if (body < 0) body = at;
                    at = Matching(code, at, end);
                    if (!expression && !InitializerFollows(code, at + 1, end)) return (body, Math.Min(at + 1, end));
                    expression = true;
                    break;
            }
        }

        return (body < 0 ? end : body, end);
    }

    private static bool InitializerFollows(string code, int at, int end)
    {
        while (at < end && char.IsWhiteSpace(code[at])) at++;
        return at < end && code[at] == '=';
    }

    private static int Matching(string code, int open, int end)
    {
        var depth = 0;
        for (var at = open; at < end; at++)
        {
            if (code[at] is '(' or '[' or '{') depth++;
            if (code[at] is ')' or ']' or '}' && --depth == 0) return at;
        }

        return end - 1;
    }

    // "int x = 3" is a field, "int X => 3" and "int X() { }" are not; a default value stands inside parentheses.
    private static bool IsField(string header)
    {
        var plain = Parenthesised().Replace(header, " ");
        var arrow = plain.IndexOf("=>", StringComparison.Ordinal);
        var assignment = Assignment().Match(plain);
        if (Operator().IsMatch(plain)) return false;
        if (assignment.Success && (arrow < 0 || assignment.Index < arrow)) return true;
        return arrow < 0 && !header.Contains('(', StringComparison.Ordinal) && header.TrimEnd().EndsWith(';');
    }

    private static int LineOf(string code, int at) => code.AsSpan(0, at).Count('\n') + 1;

    private static string OneLine(string header) =>
        Whitespace().Replace(header, " ").Trim() is var line && line.Length > 80
        ? line[..80]
        : line;

    [GeneratedRegex(@"\b(class|struct|interface|record|enum|namespace)\b(?=\s+(?!where\b)\w)")]
    private static partial Regex Nesting();

    [GeneratedRegex(@"\b(?:class|struct|interface|enum|record(?:\s+(?:struct|class))?)\s+(?<name>[A-Z]\w*)")]
    private static partial Regex TypeDeclaration();

    [GeneratedRegex(@"\boperator\b")]
    private static partial Regex Operator();

    [GeneratedRegex(@"\((?>[^()]+|(?<open>\()|(?<-open>\)))*(?(open)(?!))\)")]
    private static partial Regex Parenthesised();

    [GeneratedRegex(@"(?<![=!<>])=(?![=>])")]
    private static partial Regex Assignment();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Whitespace();
}
