//! Compound commands: lists in parentheses and braces, `if`, `while`, `for`, `case`, functions, `[[ … ]]`.

use super::parse::{Parser, Read};
use super::{Arm, CommandKind, List, Word, calls};

impl Parser<'_, '_> {
    pub(super) fn compound(&mut self) -> Read<Option<CommandKind>> {
        let start = self.at;
        if self.sees("((")
            && let Some(end) = self.arithmetic_end(start + 2)?
        {
            return self.arithmetic(start + 2..end).map(CommandKind::Arithmetic).map(Some);
        }
        if self.take("(") {
            let list = self.list()?;
            self.close(")", start)?;
            return Ok(Some(CommandKind::Subshell(list)));
        }
        if self.take_word("{") {
            let list = self.list()?;
            self.expect_word("}", start)?;
            return Ok(Some(CommandKind::Group(list)));
        }
        let kind = match self.word_ahead() {
            "if" => self.branches()?,
            "while" | "until" => self.repeated()?,
            "for" | "select" => self.each()?,
            "case" => self.case()?,
            "function" => self.function_by_keyword()?,
            "[[" if self.is_word("[[") => self.test()?,
            name => return self.function(name),
        };
        Ok(Some(kind))
    }

    fn close(&mut self, text: &str, start: usize) -> Read<()> {
        if self.take(text) {
            return Ok(());
        }
        if self.at < self.text.len() {
            return Err(self.unexpected());
        }
        Err(self.unreadable(format!("nothing closes it: {text} is missing"), start))
    }

    fn branches(&mut self) -> Read<CommandKind> {
        let start = self.at;
        let (mut branches, mut otherwise) = (Vec::new(), None);
        self.at += "if".len();
        loop {
            let condition = self.filled("a condition is missing")?;
            self.expect_word("then", start)?;
            let body = self.list()?;
            branches.push((condition, body));
            if self.take_word("elif") {
                continue;
            }
            if self.take_word("else") {
                otherwise = Some(self.list()?);
            }
            self.expect_word("fi", start)?;
            return Ok(CommandKind::If { branches, otherwise });
        }
    }

    /// A list that is not empty.
    fn filled(&mut self, without: &str) -> Read<List> {
        let start = self.at;
        let list = self.list()?;
        if list.items.is_empty() { Err(self.unreadable(without, start)) } else { Ok(list) }
    }

    fn repeated(&mut self) -> Read<CommandKind> {
        let start = self.at;
        let until = self.sees("until");
        self.at += "while".len();
        let condition = self.filled("a condition is missing")?;
        let body = self.body(start)?;
        Ok(CommandKind::Loop { until, condition, body })
    }

    /// `do … done`.
    fn body(&mut self, start: usize) -> Read<List> {
        self.expect_word("do", start)?;
        let body = self.list()?;
        self.expect_word("done", start)?;
        Ok(body)
    }

    fn each(&mut self) -> Read<CommandKind> {
        let start = self.at;
        self.at += self.word_ahead().len();
        self.blanks();
        if self.sees("((")
            && let Some(end) = self.arithmetic_end(self.at + 2)?
        {
            let head = self.arithmetic(self.at + 2..end)?;
            self.blanks();
            self.take(";");
            return Ok(CommandKind::ForArithmetic { head, body: self.body(start)? });
        }
        let name_start = self.at;
        let name = self.word_ahead().to_owned();
        if !calls::is_name(&name) {
            return Err(self.unreadable("the name of a variable is missing", start));
        }
        self.at += name.len();
        let name_at = self.place(name_start);
        self.newlines();
        let words = if self.take_word("in") { Some(self.words()?) } else { None };
        self.blanks();
        self.take(";");
        let body = self.body(start)?;
        Ok(CommandKind::For { name, name_at, words, body })
    }

    /// Words up to a separator.
    fn words(&mut self) -> Read<Vec<Word>> {
        let mut words = Vec::new();
        self.blanks();
        while self.begins_word() {
            words.push(self.word()?);
            self.blanks();
        }
        Ok(words)
    }

    fn case(&mut self) -> Read<CommandKind> {
        let start = self.at;
        self.at += "case".len();
        self.blanks();
        let word = self.word()?;
        self.expect_word("in", start)?;
        let mut arms = Vec::new();
        loop {
            self.newlines();
            if self.take_word("esac") {
                return Ok(CommandKind::Case { word, arms });
            }
            arms.push(self.arm(start)?);
            self.newlines();
            // The last one needs none.
            let goes_on = self.take(";;&") || self.take(";;") || self.take(";&");
            if !goes_on && !self.is_word("esac") {
                return Err(self.unreadable("esac is missing", start));
            }
        }
    }

    fn arm(&mut self, start: usize) -> Read<Arm> {
        self.take("(");
        let mut patterns = Vec::new();
        loop {
            self.blanks();
            if !self.begins_word() {
                return Err(self.unreadable("esac is missing", start));
            }
            patterns.push(self.word()?);
            self.blanks();
            if !self.take("|") {
                break;
            }
        }
        self.close(")", start)?;
        Ok(Arm { patterns, body: self.list()? })
    }

    fn function_by_keyword(&mut self) -> Read<CommandKind> {
        let start = self.at;
        self.at += "function".len();
        self.blanks();
        let name = self.word_ahead().to_owned();
        self.at += name.len();
        self.blanks();
        if self.take("(") {
            self.blanks();
            self.close(")", start)?;
        }
        self.function_body(name, true)
    }

    /// `name() …`, where it is one.
    fn function(&mut self, name: &str) -> Read<Option<CommandKind>> {
        let start = self.at;
        if name.is_empty()
            || name.contains(['=', '#'])
            || !name.starts_with(|first: char| first.is_alphanumeric() || "_-.:@+".contains(first))
        {
            return Ok(None);
        }
        self.at += name.len();
        self.blanks();
        if self.take("(") {
            self.blanks();
            if self.take(")") {
                return self.function_body(name.to_owned(), false).map(Some);
            }
        }
        self.at = start;
        Ok(None)
    }

    fn function_body(&mut self, name: String, keyword: bool) -> Read<CommandKind> {
        self.enter()?;
        self.newlines();
        let body = Box::new(self.command()?);
        self.leave();
        Ok(CommandKind::Function { name, keyword, body })
    }

    /// `[[ … ]]`.
    fn test(&mut self) -> Read<CommandKind> {
        let start = self.at;
        self.at += "[[".len();
        let mut words: Vec<Word> = Vec::new();
        loop {
            self.newlines();
            if self.take_word("]]") {
                return Ok(CommandKind::Test(words));
            }
            let after_match = words.last().is_some_and(|word| word.raw == "=~");
            words.push(if after_match { self.pattern()? } else { self.tested(start)? });
        }
    }

    fn tested(&mut self, start: usize) -> Read<Word> {
        let at = self.at;
        for operator in ["&&", "||", "(", ")", "<", ">"] {
            if self.take(operator) {
                return Ok(self.plain_word(at));
            }
        }
        if !self.begins_word() {
            return Err(self.unreadable("]] is missing", start));
        }
        self.word()
    }
}
